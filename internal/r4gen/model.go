package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// model is what has been read: every type reachable from the roots.
type model struct {
	dir   string
	types map[string]*goType
	sets  map[string]*valueSet
}

// goType is one struct: a resource, a data type, or an element with children.
type goType struct {
	name, root, short string
	resource          bool
	fields            []field
}

// field is one struct field; a choice element makes several.
type field struct {
	json, name, short string
	code              string // FHIR type code, or the Go name of a nested struct
	nested, many      bool
	min               int
	choice            bool
}

// valueSet is a required binding whose codes become constants.
type valueSet struct {
	name  string
	codes []concept
}

type concept struct {
	Code    string    `json:"code"`
	Display string    `json:"display"`
	Concept []concept `json:"concept"`
}

type element struct {
	Path string `json:"path"`
	// Short is the specification's one-line description.
	Short            string `json:"short"`
	Min              int    `json:"min"`
	Max              string `json:"max"`
	ContentReference string `json:"contentReference"`
	Type             []struct {
		Code string `json:"code"`
	} `json:"type"`
	Binding struct {
		Strength string `json:"strength"`
		ValueSet string `json:"valueSet"`
	} `json:"binding"`
}

func (m *model) read(file string, into any) error {
	data, err := os.ReadFile(filepath.Join(m.dir, file+".json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// add reads one StructureDefinition and everything it refers to.
func (m *model) add(name string) error {
	if m.types[name] != nil {
		return nil
	}
	var def struct {
		Kind     string `json:"kind"`
		Snapshot struct {
			Element []element `json:"element"`
		} `json:"snapshot"`
	}
	if err := m.read("StructureDefinition-"+name, &def); err != nil {
		return err
	}
	byPath := map[string]*goType{}
	for _, e := range def.Snapshot.Element {
		parent := byPath[parentOf(e.Path)]
		if parent == nil || isStruct(e, def.Snapshot.Element) {
			t := &goType{name: structName(e.Path), root: name, short: e.Short, resource: def.Kind == "resource" && e.Path == name}
			byPath[e.Path], m.types[t.name] = t, t
		}
		if parent == nil {
			continue
		}
		fields, err := m.fieldsOf(e, byPath[e.Path])
		if err != nil {
			return err
		}
		parent.fields = append(parent.fields, fields...)
	}
	return nil
}

func isStruct(e element, all []element) bool {
	for _, other := range all {
		if strings.HasPrefix(other.Path, e.Path+".") {
			return true
		}
	}
	return false
}

func (m *model) fieldsOf(e element, nested *goType) ([]field, error) {
	base := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
	f := field{json: base, name: goName(base), short: e.Short, many: e.Max != "1", min: e.Min}
	switch {
	case nested != nil:
		f.code, f.nested = nested.name, true
		return []field{f}, nil
	case e.ContentReference != "":
		f.code, f.nested = structName(strings.TrimPrefix(e.ContentReference, "#")), true
		return []field{f}, nil
	}
	m.bind(e)
	var out []field
	for _, typ := range e.Type {
		f.code = strings.TrimPrefix(typ.Code, "http://hl7.org/fhirpath/System.")
		if choice, ok := strings.CutSuffix(base, "[x]"); ok {
			f.choice, f.json = true, choice+upper(typ.Code)
			f.name = goName(f.json)
		}
		if kindOf(f.code) == complexKind {
			if err := m.add(f.code); err != nil {
				return nil, err
			}
		}
		out = append(out, f)
		if base == strings.TrimSuffix(base, "[x]") {
			break
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no type", e.Path)
	}
	return out, nil
}

// bind notes the codes of a required binding that the package spells out.
func (m *model) bind(e element) {
	url, _, _ := strings.Cut(e.Binding.ValueSet, "|")
	if e.Binding.Strength != "required" || m.sets[url] != nil {
		return
	}
	var vs struct {
		Name    string `json:"name"`
		Compose struct {
			Include []struct {
				System  string    `json:"system"`
				Concept []concept `json:"concept"`
			} `json:"include"`
		} `json:"compose"`
	}
	if m.read("ValueSet-"+lastSegment(url), &vs) != nil {
		return
	}
	set := &valueSet{name: upper(strings.Join(words(vs.Name), ""))}
	for _, in := range vs.Compose.Include {
		var cs struct {
			Concept []concept `json:"concept"`
		}
		if len(in.Concept) == 0 && m.read("CodeSystem-"+lastSegment(in.System), &cs) == nil {
			in.Concept = cs.Concept
		}
		set.codes = flatten(set.codes, in.Concept)
	}
	for _, other := range m.sets {
		if other.name == set.name { // two value sets bear one name
			set.name = codeName(concept{Code: lastSegment(url)})
		}
	}
	if len(set.codes) > 0 && len(set.codes) <= 40 {
		m.sets[url] = set
	}
}

func flatten(out, in []concept) []concept {
	for _, c := range in {
		out = flatten(append(out, c), c.Concept)
	}
	return out
}

func lastSegment(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

func parentOf(path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// structName turns Appointment.participant into AppointmentParticipant.
func structName(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		b.WriteString(upper(part))
	}
	return b.String()
}

// goName is the field's exported name, with Go's initialisms.
func goName(s string) string {
	switch s {
	case "id", "url", "uri":
		return strings.ToUpper(s)
	}
	return upper(s)
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
func lower(s string) string { return strings.ToLower(s) }
