// Command configref writes examples/hospital.yaml: every key of a hospital.yaml
// with an example value and, above its first use, the doc comment of the field it
// fills. A field without an example is an error, so the reference is complete.
//
//	go run ./internal/configref -root . -out examples/hospital.yaml
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hospital-go/hospital/internal/strictyaml"
)

//go:embed example.yaml
var example []byte

const header = "# A hospital.yaml with everything there is. Generated from the doc comments by internal/configref; DO NOT EDIT.\n" +
	"# Secrets stand in environment variables or files; relative file names are relative to this file.\n\n"

func main() {
	root := flag.String("root", ".", "folder of the module")
	out := flag.String("out", "examples/hospital.yaml", "file to write")
	flag.Parse()
	if err := run(*root, *out); err != nil {
		fmt.Fprintln(os.Stderr, "configref:", err)
		os.Exit(1)
	}
}

func run(root, out string) error {
	r := reference{types: map[string][]field{}, docs: map[string]string{}, seen: map[string]bool{}}
	for _, dir := range []string{root, filepath.Join(root, "campus"), filepath.Join(root, "failover")} {
		if err := r.parse(dir); err != nil {
			return err
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(example, &doc); err != nil {
		return err
	}
	r.describe(doc.Content[0], "configFile")
	if missing := r.missing("configFile"); len(missing) > 0 {
		return fmt.Errorf("example.yaml has no example of %s", strings.Join(missing, ", "))
	}
	var b bytes.Buffer
	b.WriteString(header)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&doc); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644) //nolint:gosec // documentation is world-readable
}

// field is one field of a struct of the configuration.
type field struct {
	key, doc string
	typ      string // the struct it holds, "" for none
	embedded bool
}

type reference struct {
	types map[string][]field
	docs  map[string]string // of the types
	seen  map[string]bool   // "type.key" that has an example
}

// parse collects the structs of a package.
func (r *reference) parse(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok {
				r.collect(d)
			}
		}
	}
	return nil
}

func (r *reference) collect(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		r.docs[t.Name.Name] = d.Doc.Text()
		for _, f := range s.Fields.List {
			r.types[t.Name.Name] = append(r.types[t.Name.Name], fieldsOf(f)...)
		}
	}
}

func fieldsOf(f *ast.Field) []field {
	typ := typeName(f.Type)
	if len(f.Names) == 0 {
		return []field{{typ: typ, embedded: true}}
	}
	var tag reflect.StructTag
	if f.Tag != nil {
		tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
	}
	var out []field
	for _, name := range f.Names {
		if name.IsExported() {
			out = append(out, field{key: strictyaml.Key(name.Name, tag), doc: f.Doc.Text(), typ: typ})
		}
	}
	return out
}

// typeName is the name of the type behind pointers, lists and maps.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		return typeName(e.Elt)
	case *ast.MapType:
		return typeName(e.Value)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// keys are a struct's fields with those of the embedded ones.
func (r *reference) keys(typ string) []field {
	var out []field
	for _, f := range r.types[typ] {
		if f.embedded {
			out = append(out, r.keys(f.typ)...)
		} else {
			out = append(out, f)
		}
	}
	return out
}

// describe puts the comments above the keys.
func (r *reference) describe(n *yaml.Node, typ string) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			r.describe(item, typ)
		}
	case yaml.MappingNode:
		fields := r.keys(typ)
		for i := 0; i+1 < len(n.Content); i += 2 {
			j := slices.IndexFunc(fields, func(f field) bool { return f.key == n.Content[i].Value })
			if j < 0 { // a map's own keys
				r.describe(n.Content[i+1], typ)
				continue
			}
			f := fields[j]
			if at := typ + "." + f.key; !r.seen[at] {
				r.seen[at] = true
				n.Content[i].HeadComment = r.instead(fields, typ, f.key) + r.comment(f)
			}
			r.describe(n.Content[i+1], f.typ)
		}
	default: // a value needs no comment
	}
}

// instead shows, commented out, the key that may stand in the place of this one.
func (r *reference) instead(fields []field, typ, key string) string {
	if typ+"."+key != "sourceFile.url" {
		return ""
	}
	r.seen["sourceFile.file"] = true
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == "file" })
	return r.comment(fields[i]) + "\nfile: hospital.yaml\n"
}

var docLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// comment is the field's doc, or that of the type it holds.
func (r *reference) comment(f field) string {
	doc := f.doc
	if doc == "" {
		doc = r.docs[f.typ]
	}
	return docLink.ReplaceAllString(strings.TrimSpace(doc), "$1")
}

// missing are the fields without an example.
func (r *reference) missing(typ string) []string {
	var out []string
	for _, f := range r.keys(typ) {
		if !r.seen[typ+"."+f.key] {
			out = append(out, typ+"."+f.key)
		}
		if len(r.types[f.typ]) > 0 && f.typ != typ {
			out = append(out, r.missing(f.typ)...)
		}
	}
	return out
}
