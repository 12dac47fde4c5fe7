package r4

import (
	"slices"
	"strings"
	"unicode"
)

// Writing is how a name is written.
type Writing uint8

const (
	// Ideographic is 张三.
	Ideographic Writing = iota
	// Alphabetic is Zhang San.
	Alphabetic
)

// representationURL is the extension by which a name says its writing.
const representationURL = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"

// NameText returns the name in one writing, "" when the list has none in it. A
// name says its writing by the extension iso21090-EN-representation (IDE, ABC),
// else by its letters. Official and usual names come before others; one marked
// old is left out, and one whose period has an end comes after those without. Without Text the parts are joined, family first: 张三, Zhang San.
func NameText(names []HumanName, w Writing) string {
	best, rank := "", 2*len(nameUses)+2
	for i := range names {
		n := &names[i]
		text := n.display()
		if n.Use == NameUseOld || text == "" || n.writing(text) != w {
			continue
		}
		if r := n.rank(); r < rank {
			best, rank = text, r
		}
	}
	return best
}

// nameUses in the order in which they are preferred; others come after.
var nameUses = []string{NameUseOfficial, NameUseUsual, ""}

// rank is small for what is preferred. Of the names in use one whose period has an
// end comes after those without: there is no clock here to tell whether it has
// come. The year 9999 is nobody's end.
func (x *HumanName) rank() int {
	rank := slices.Index(nameUses, x.Use)
	switch {
	case rank < 0:
		return 2 * len(nameUses)
	case x.Period != nil && x.Period.End != "" && !strings.HasPrefix(x.Period.End, "9999"):
		return rank + len(nameUses)
	}
	return rank
}

// display is the name's text, or its parts: with spaces unless they are Chinese.
func (x *HumanName) display() string {
	if x.Text != "" {
		return x.Text
	}
	var parts []string
	for _, p := range append([]string{x.Family}, x.Given...) {
		if p != "" {
			parts = append(parts, p)
		}
	}
	separator := " "
	if ideographic(strings.Join(parts, "")) {
		separator = ""
	}
	return strings.Join(parts, separator)
}

func (x *HumanName) writing(text string) Writing {
	for i := range x.Extension {
		if x.Extension[i].URL != representationURL {
			continue
		}
		switch x.Extension[i].ValueCode {
		case "IDE":
			return Ideographic
		case "ABC":
			return Alphabetic
		}
	}
	if ideographic(text) {
		return Ideographic
	}
	return Alphabetic
}

// ideographic: with one Chinese character, or one that old systems put into the
// private use area for want of a code.
func ideographic(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) || unicode.Is(unicode.Co, r) })
}
