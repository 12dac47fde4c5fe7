package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Marks says how a report or result is marked that other institutions recognise
// (检查检验结果互认标识). Any of what is set counts; the mark itself stays where it was put.
type Marks struct {
	// Tag in meta.tag. The zero Coding is none.
	Tag r4.Coding
	// Category among the codes of category. The zero Coding is none.
	Category r4.Coding
	// Extension is the URL of an extension; its presence is the mark, unless it says
	// false. "" is none.
	Extension string
}

// The default mark of mutual recognition, a tag.
const (
	// RecognitionSystem is the code system of the tag.
	RecognitionSystem = "urn:hospital-go:recognition"
	// RecognitionCode is the code in it: HR, as it is printed on reports.
	RecognitionCode = "HR"
)

// DefaultMarks is the tag [RecognitionCode] of [RecognitionSystem].
func DefaultMarks() Marks {
	return Marks{Tag: r4.Coding{System: RecognitionSystem, Code: RecognitionCode}}
}

// on: is something marked?
func (m Marks) on(meta *r4.Meta, extensions []r4.Extension, categories []r4.CodeableConcept) bool {
	tagged := meta != nil && m.Tag.Code != "" && slices.ContainsFunc(meta.Tag, func(c r4.Coding) bool {
		return c.System == m.Tag.System && c.Code == m.Tag.Code
	})
	extended := m.Extension != "" && slices.ContainsFunc(extensions, func(e r4.Extension) bool {
		return e.URL == m.Extension && (e.ValueBoolean == nil || *e.ValueBoolean)
	})
	return tagged || extended || (m.Category.Code != "" && verb.InCategory(categories, m.Category))
}

// edition is one content of what a key names.
func edition(key string, code *r4.CodeableConcept, period *r4.Period, more ...string) string {
	parts := append([]string{key}, more...)
	if code != nil {
		parts = append(parts, code.Text)
		for _, c := range code.Coding {
			parts = append(parts, c.System+"#"+c.Code)
		}
	}
	if period != nil {
		parts = append(parts, period.Start, period.End)
	}
	return strings.Join(parts, "\n")
}

// businessKey names what several campuses may hold by its business identifier: the one
// of system, else its only one; else by where it is, which no other has.
func businessKey(ids []r4.Identifier, system string, o hospital.Origin, id string) string {
	if value, ok := r4.IdentifierValue(ids, system); ok && system != "" {
		return system + "|" + value
	}
	named := slices.DeleteFunc(slices.Clone(ids), func(i r4.Identifier) bool { return i.System == "" || i.Value == "" })
	if len(named) == 1 {
		return named[0].System + "|" + named[0].Value
	}
	return string(cmp.Or(o.Store, campus.StoreID("?"))) + "/" + id
}
