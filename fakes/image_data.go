package fakes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dataset is what is known of an instance, in the terms of DICOM JSON (PS3.18 annex F).
type dataset map[uint32]element

// element has values, or the address of what is too long for one.
type element struct {
	vr     string
	values []any // string, json.Number, personName or dataset
	uri    string
}

// personName has the three groups of a PN.
type personName struct {
	Alphabetic  string `json:",omitempty"`
	Ideographic string `json:",omitempty"`
	Phonetic    string `json:",omitempty"`
}

func (n personName) groups() []string { return []string{n.Alphabetic, n.Ideographic, n.Phonetic} }

// text is the name with its groups, as a file has it.
func (n personName) text() string { return strings.TrimRight(strings.Join(n.groups(), "="), "=") }

func nameOf(s string) personName {
	groups := append(strings.SplitN(s, "=", 3), "", "")
	return personName{groups[0], groups[1], groups[2]}
}

// textElement has the values that a text of this VR stands for; a backslash parts them.
func textElement(vr, text string) element {
	e := element{vr: vr}
	if text = strings.TrimRight(text, " \x00"); text == "" {
		return e
	}
	parts := []string{text}
	if !slices.Contains([]string{"LT", "ST", "UT", "UR"}, vr) {
		parts = strings.Split(text, `\`)
	}
	for _, part := range parts {
		e.values = append(e.values, textValue(vr, strings.TrimRight(part, " \x00")))
	}
	return e
}

func textValue(vr, text string) any {
	switch vr {
	case "PN":
		return nameOf(text)
	case "IS", "DS":
		text = strings.TrimSpace(text)
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && f-f == 0 {
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		}
		return text
	case "LT", "ST", "UT":
		return text
	}
	return strings.TrimSpace(text)
}

// numberElement has one number.
func numberElement(vr string, n int) element {
	return element{vr: vr, values: []any{json.Number(strconv.Itoa(n))}}
}

// text is the first value as text, empty when there is none.
func (d dataset) text(tag uint32) string {
	if list := d[tag].values; len(list) > 0 {
		return textOf(list[0])
	}
	return ""
}

// int is the first value as a number, 0 when it is none.
func (d dataset) int(tag uint32) int {
	n, _ := strconv.Atoi(d.text(tag))
	return n
}

// textOf is a value as text; a name's first group.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case personName:
		return v.Alphabetic
	}
	return ""
}

// at follows a path into sequences and returns the values at its end.
func (d dataset) at(path []uint32) []any {
	values := d[path[0]].values
	if len(path) == 1 {
		return values
	}
	var out []any
	for _, v := range values {
		if item, ok := v.(dataset); ok {
			out = append(out, item.at(path[1:])...)
		}
	}
	return out
}

// MarshalJSON writes the JSON model; an empty value is null.
func (d dataset) MarshalJSON() ([]byte, error) {
	out := object{}
	for tag, e := range d {
		m := object{"vr": e.vr}
		var values []any
		for _, v := range e.values {
			if v == "" {
				v = nil
			}
			values = append(values, v)
		}
		if values != nil {
			m["Value"] = values
		}
		if e.uri != "" {
			m["BulkDataURI"] = e.uri
		}
		out[fmt.Sprintf("%08X", tag)] = m
	}
	return encode(out), nil
}
