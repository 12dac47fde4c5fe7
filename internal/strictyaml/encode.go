package strictyaml

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Encode writes v, a struct, as Decode reads it. What is zero is left out.
func Encode(v any) ([]byte, error) {
	return yaml.Marshal(node(reflect.ValueOf(v)))
}

func node(v reflect.Value) *yaml.Node {
	switch {
	case v.Type() == duration:
		return text(v.Interface().(time.Duration).String(), "!!str") //nolint:forcetypeassert // that is its type
	case v.Kind() == reflect.Pointer:
		return node(v.Elem())
	case v.Kind() == reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		add(n, v)
		return n
	case v.Kind() == reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, node(v.Index(i)))
		}
		return n
	case v.Kind() == reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			n.Content = append(n.Content, text(key.String(), "!!str"), node(v.MapIndex(key)))
		}
		return n
	case v.Kind() == reflect.Bool:
		return text(strconv.FormatBool(v.Bool()), "!!bool")
	case v.CanInt():
		return text(strconv.FormatInt(v.Int(), 10), "!!int")
	}
	return text(v.String(), "!!str")
}

func text(s, tag string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s} }

// add puts a struct's fields into a table, those of embedded ones too.
func add(n *yaml.Node, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Anonymous:
			add(n, v.Field(i))
		case f.IsExported() && !v.Field(i).IsZero():
			n.Content = append(n.Content, text(Key(f.Name, f.Tag), "!!str"), node(v.Field(i)))
		}
	}
}
