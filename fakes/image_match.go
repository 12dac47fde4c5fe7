package fakes

import (
	"slices"
	"strings"
)

// sound refuses a value that the attribute cannot have.
func (f filter) sound() bool {
	switch f.vr {
	case "DA":
		return f.rangeOf(func(s string) bool { return len(s) == 8 && digits(s) })
	case "TM":
		return f.rangeOf(func(s string) bool {
			hours, fraction, _ := strings.Cut(s, ".")
			return len(hours) <= 6 && len(hours)%2 == 0 && digits(hours) && len(fraction) <= 6 && digits(fraction)
		})
	case "UI":
		return !slices.ContainsFunc(f.list(), func(s string) bool { return s != "" && !validUID(s) })
	}
	return true
}

// rangeOf checks both ends of a range, or the one value.
func (f filter) rangeOf(good func(string) bool) bool {
	low, high, _ := strings.Cut(f.wanted, "-")
	return (low == "" || good(low)) && (high == "" || good(high))
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// list are the values of which one is wanted.
func (f filter) list() []string {
	return strings.FieldsFunc(f.wanted, func(c rune) bool { return c == ',' || (c == '\\' && f.vr == "UI") })
}

// matches compares as PS3.4 section C.2.2.2 says: nothing and * match everything.
func (f filter) matches(values []any) bool {
	if f.wanted == "" || f.wanted == "*" {
		return true
	}
	return slices.ContainsFunc(values, f.matchesOne)
}

func (f filter) matchesOne(v any) bool {
	text := textOf(v)
	switch f.vr {
	case "DA":
		return inRange(f.wanted, text, func(s, _ string) string { return s })
	case "TM":
		return inRange(f.wanted, text, timeBound)
	case "UI":
		return slices.Contains(f.list(), text)
	case "PN":
		name, ok := v.(personName)
		if f.whole {
			return ok && like(f.wanted, name.text())
		}
		return ok && matchName(f.wanted, name)
	case "LT", "ST", "UT", "UR":
		return like(f.wanted, text)
	}
	return slices.ContainsFunc(f.list(), func(w string) bool { return like(w, text) })
}

// inRange: equal, or between the ends that are there.
func inRange(wanted, text string, bound func(s, fill string) string) bool {
	low, high, between := strings.Cut(wanted, "-")
	text = bound(text, "0")
	if !between {
		return text != "" && bound(low, "0") == text
	}
	return text != "" && (low == "" || bound(low, "0") <= text) && (high == "" || text <= bound(high, "9"))
}

// timeBound fills a time up: its first moment with zeros, its last with nines.
func timeBound(s, fill string) string {
	hours, fraction, _ := strings.Cut(s, ".")
	if s == "" {
		return ""
	}
	return hours + strings.Repeat(fill, max(0, 6-len(hours))) + "." + fraction + strings.Repeat(fill, max(0, 6-len(fraction)))
}

// matchName compares names without regard to case: group by group where groups are
// given, or one that stands alone with any of them.
func matchName(wanted string, name personName) bool {
	groups := strings.Split(wanted, "=")
	if len(groups) == 1 {
		return slices.ContainsFunc(name.groups(), func(g string) bool { return g != "" && matchGroup(wanted, g) })
	}
	for i, w := range groups {
		if i > 2 || (w != "" && !matchGroup(w, name.groups()[i])) {
			return false
		}
	}
	return true
}

// matchGroup: empty components at the end say nothing.
func matchGroup(wanted, group string) bool {
	return like(strings.ToLower(strings.TrimRight(wanted, "^ ")), strings.ToLower(strings.TrimRight(group, "^ ")))
}

// like compares with * for anything and ? for any one character.
func like(pattern, s string) bool {
	p, t := []rune(pattern), []rune(s)
	star, mark := -1, 0 // where the last * was, and how far it reaches
	i := 0
	for j := 0; j < len(t); {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark, i = i, j, i+1
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}
