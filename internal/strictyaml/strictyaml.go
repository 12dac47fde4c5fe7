// Package strictyaml decodes YAML into plain structs and says, for everything
// that does not fit, where it stands and what would. Keys are the fields' names
// with a small first letter, or what a yaml tag says; embedded structs are part
// of the one they stand in.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize bounds a document's bytes.
const MaxSize = 4 << 20

// Fault is one thing that does not fit.
type Fault struct {
	// Line and Column count from 1; 0 is unknown.
	Line, Column int
	// Place is the path of keys, such as endpoints[3].store.
	Place string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Document knows where the values of a decoded document stand.
type Document struct {
	nodes  map[string]*yaml.Node
	faults []Fault
}

// Decode reads one document into the struct that into points to.
func Decode(data []byte, into any) (*Document, []Fault) {
	d := &Document{nodes: map[string]*yaml.Node{}}
	root, problem := parse(data)
	if problem != nil {
		return d, []Fault{*problem}
	}
	d.value(root, reflect.ValueOf(into).Elem(), "")
	if len(d.faults) > maxFaults {
		d.faults = append(d.faults[:maxFaults], Fault{Problem: "holds more mistakes than are listed"})
	}
	return d, d.faults
}

const (
	// MaxItems bounds a list or table.
	MaxItems  = 10_000
	maxFaults = 100
	maxWord   = 1024
)

// Quiet marks structs whose keys and values may be secrets written in the wrong
// place; they are not repeated.
type Quiet interface {
	// Quiet does nothing.
	Quiet()
}

// At returns where a place stands; for one that is missing, where what should hold it does.
func (d *Document) At(place string) (line, column int) {
	for {
		if n := d.nodes[place]; n != nil {
			return n.Line, n.Column
		}
		if place == "" {
			return 0, 0
		}
		place = place[:max(0, strings.LastIndexAny(place, ".["))]
	}
}

// Has reports whether a place is in the document.
func (d *Document) Has(place string) bool { return d.nodes[place] != nil }

var lineOf = regexp.MustCompile(`line (\d+)`)

func parse(data []byte) (*yaml.Node, *Fault) {
	if len(data) > MaxSize {
		return nil, &Fault{Problem: fmt.Sprintf("is larger than %d bytes", MaxSize)}
	}
	if !utf8.Valid(data) {
		good := 0
		for line := range bytes.Lines(data) {
			if !utf8.Valid(line) {
				break
			}
			good++
		}
		return nil, &Fault{Line: good + 1, Problem: "is not UTF-8; save the file as UTF-8"}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Fault{Problem: "is empty"}
	case err != nil:
		return nil, syntax(data, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, &Fault{Line: second.Line, Column: second.Column, Problem: "holds a second document; keep one, without ---"}
	}
	return doc.Content[0], nil
}

var besides = regexp.MustCompile(`"[^"]*"|'[^']*'|(^|\s)#.*`)

// plainOf is a line without what stands in quotes and comments, where any sign may be.
func plainOf(line string) string { return besides.ReplaceAllString(line, "") }

var quoted = regexp.MustCompile(`'[^']*'`)

// syntax finds the line in the library's error and adds what is most often the
// cause. What stands in quotes is of the document and may be a secret.
func syntax(data []byte, err error) *Fault {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors: ")
	f := &Fault{Problem: "is not YAML here, or a little before: " + quoted.ReplaceAllString(lineOf.ReplaceAllString(text, "this line"), "'…'")}
	lines := strings.Split(string(data), "\n")
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		n, _ := strconv.Atoi(m[1])
		f.Line = min(n+1, len(lines)) // most of its errors count from 0
	}
	if strings.Contains(text, "unknown anchor") {
		f.Problem = "uses an alias (*) of nothing; put quotes around a value that begins with *"
	}
	for i := max(0, f.Line-3); i < min(f.Line+1, len(lines)); i++ {
		switch {
		case strings.HasPrefix(strings.TrimLeft(lines[i], " "), "\t"):
			return &Fault{Line: i + 1, Column: strings.IndexByte(lines[i], '\t') + 1, Problem: "is indented with a tab; YAML wants spaces"}
		case strings.ContainsAny(plainOf(lines[i]), "：，｛｝［］\u00a0"):
			return &Fault{Line: i + 1, Problem: "holds a full-width sign or space (：，); YAML wants : and , and plain spaces"}
		}
	}
	return f
}

func (d *Document) fault(n *yaml.Node, place, format string, args ...any) {
	d.faults = append(d.faults, Fault{Line: n.Line, Column: n.Column, Place: place, Problem: fmt.Sprintf(format, args...)})
}

var duration = reflect.TypeFor[time.Duration]()

func (d *Document) value(n *yaml.Node, v reflect.Value, place string) {
	d.nodes[place] = n
	switch {
	case len(d.faults) > maxFaults:
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fault(n, place, "uses an anchor or alias; write the value out")
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.fault(n, place, "has a tag (!), which is not read; write the value alone")
		return
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return
	case v.Type() == duration:
		d.duration(n, v, place)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), place)
	case reflect.Struct:
		d.object(n, v, place)
	case reflect.Map:
		d.table(n, v, place)
	case reflect.Slice:
		d.list(n, v, place)
	default:
		d.scalar(n, v, place)
	}
}

func (d *Document) scalar(n *yaml.Node, v reflect.Value, place string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, place, "must be a single value")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Value != "true" && n.Value != "false" {
			d.fault(n, place, "must be true or false")
			return
		}
		v.SetBool(n.Value == "true")
	default:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil || v.OverflowInt(i) || n.Value != strconv.FormatInt(i, 10) {
			d.fault(n, place, "must be a whole number")
			return
		}
		v.SetInt(i)
	}
}

func (d *Document) duration(n *yaml.Node, v reflect.Value, place string) {
	t, err := time.ParseDuration(n.Value)
	if _, numeric := strconv.Atoi(n.Value); numeric == nil && n.Value != "0" {
		d.fault(n, place, "must say its unit: %ss for seconds, %sm for minutes", n.Value, n.Value)
		return
	}
	if err != nil {
		d.fault(n, place, "must be a duration such as 500ms, 30s or 5m")
		return
	}
	v.SetInt(int64(t))
}

func (d *Document) list(n *yaml.Node, v reflect.Value, place string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, place, "must be a list: each item on a line of its own that begins with '- ', or [a, b]")
		return
	}
	if len(n.Content) > MaxItems {
		d.fault(n, place, "has more than %d items", MaxItems)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", place, i))
	}
}

func (d *Document) table(n *yaml.Node, v reflect.Value, place string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.members(n, place, func(key, value *yaml.Node, at string) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(value, item, at)
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), item)
	})
}

func (d *Document) object(n *yaml.Node, v reflect.Value, place string) {
	known := map[string]reflect.Value{}
	fields(v, known)
	d.members(n, place, func(key, value *yaml.Node, at string) {
		field, ok := known[key.Value]
		if _, quiet := v.Interface().(Quiet); !ok && quiet {
			d.fault(key, place, "has a key that does not belong here; %s", suggest("", known))
			return
		}
		if !ok {
			d.fault(key, at, "is no key here; %s", suggest(key.Value, known))
			return
		}
		d.value(value, field, at)
	})
}

// members visits the keys and values of a mapping.
func (d *Document) members(n *yaml.Node, place string, visit func(key, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, place, "must be keys and values, each as 'key: value'")
		return
	}
	if len(n.Content) > 2*MaxItems {
		d.fault(n, place, "has more than %d keys", MaxItems)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if len(key.Value) > maxWord {
			d.fault(key, place, "has a key of more than %d bytes", maxWord)
			continue
		}
		at := strings.TrimPrefix(place+"."+key.Value, ".")
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			d.fault(key, place, "has a key that is no plain word")
		case seen[key.Value] > 0:
			d.fault(key, at, "is there twice, first on line %d", seen[key.Value])
		default:
			seen[key.Value] = key.Line
			visit(key, value, at)
		}
	}
}

// fields finds a struct's keys.
func fields(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Anonymous:
			fields(v.Field(i), into)
		case f.IsExported():
			into[Key(f.Name, f.Tag)] = v.Field(i)
		}
	}
}

// Key is a field's key: its yaml tag, or its name with a small beginning (ID is id,
// AllowPlainHTTP is allowPlainHTTP).
func Key(name string, tag reflect.StructTag) string {
	if own := tag.Get("yaml"); own != "" {
		return own
	}
	upper := 0
	for upper < len(name) && 'A' <= name[upper] && name[upper] <= 'Z' {
		upper++
	}
	if upper > 1 && upper < len(name) {
		upper-- // the last of a run of capitals begins the next word
	}
	return strings.ToLower(name[:upper]) + name[upper:]
}

// suggest names the key that was probably meant, or all there are.
func suggest(word string, known map[string]reflect.Value) string {
	best, distance := "", 1+len(word)/3
	var all []string
	for key := range known {
		all = append(all, key)
		if n := edits(strings.ToLower(word), strings.ToLower(key)); n < distance || (n == distance && key < best) {
			best, distance = key, n
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	slices.Sort(all)
	return "known here: " + strings.Join(all, ", ")
}

// edits is how many letters have to be inserted, dropped or replaced.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j]+1, row[j+1]+1)
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
