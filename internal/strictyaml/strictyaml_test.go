package strictyaml_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/strictyaml"
)

type inner struct {
	Every time.Duration
	On    bool
	Words []string
	More  *inner
}

type outer struct {
	inner
	ID             string
	AllowPlainHTTP bool
	OAuth2         map[string]inner `yaml:"oauth2"`
	Count          int
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var got outer
	doc, faults := strictyaml.Decode([]byte("id: x\nallowPlainHTTP: true\nevery: 5s\nwords: [a, b]\noauth2: {k: {on: true, more: {every: 1m}}}\ncount: -3\nmore:\n"), &got)
	require.Empty(t, faults)
	assert.Equal(t, outer{
		inner: inner{Every: 5 * time.Second, Words: []string{"a", "b"}}, ID: "x", AllowPlainHTTP: true, Count: -3,
		OAuth2: map[string]inner{"k": {On: true, More: &inner{Every: time.Minute}}},
	}, got)
	line, column := doc.At("oauth2.k.more.every")
	assert.Equal(t, [2]int{5, 38}, [2]int{line, column})
	line, _ = doc.At("oauth2.k.words[3]")
	assert.Equal(t, 5, line, "what is missing stands where what should hold it does")
	assert.True(t, doc.Has("words"))
	assert.False(t, doc.Has("wards"))
}

// Whatever comes, it is decoded or refused with a place in the document.
func FuzzDecode(f *testing.F) {
	f.Add("id: x\nevery: 5s\nwords: [a, b]\noauth2: {k: {on: true}}\n")
	f.Add("a: &a [*a]\n")
	f.Add("id: !!int 3\ncount: 0x10\n? [x]\n: y\n<<: {id: y}\n")
	f.Add("\tid: x\n")
	f.Add("id: '一，二'\n]\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		var got outer
		_, faults := strictyaml.Decode([]byte(text), &got)
		for _, x := range faults {
			if x.Problem == "" || x.Line < 0 || x.Column < 0 {
				t.Fatalf("%+v", x)
			}
		}
	})
}

// What is written is read again as it was.
func TestEncode(t *testing.T) {
	t.Parallel()
	want := outer{
		inner: inner{Every: 90 * time.Second, Words: []string{"a", "true", "12", "光谷"}, More: &inner{On: true}},
		ID:    "x: y", AllowPlainHTTP: true, OAuth2: map[string]inner{"b": {On: true}, "a": {}}, Count: -3,
	}
	data, err := strictyaml.Encode(want)
	require.NoError(t, err)
	var got outer
	_, faults := strictyaml.Decode(data, &got)
	require.Empty(t, faults, string(data))
	assert.Equal(t, want, got)
}
