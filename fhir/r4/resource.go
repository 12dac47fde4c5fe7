package r4

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
)

// Resource is any FHIR resource: a generated type (always as a pointer) or
// [*Unknown]. Section 2.26 of the specification.
type Resource interface {
	// ResourceType returns the name of the type, such as "Patient". For the
	// generated types it may be called on a nil pointer.
	ResourceType() string
	// ResourceID returns the logical id, "" when the server has assigned none.
	// It is private to the Store that holds the resource.
	ResourceID() string
	// ResourceMeta returns the metadata, nil when there is none.
	ResourceMeta() *Meta

	setMeta(m *Meta)
	unmarshal(d *decoder)
	marshal(e *encoder)
}

// MetaOf returns r's metadata and gives it some where it has none. Of an [Unknown]
// what is changed there is not written.
func MetaOf(r Resource) *Meta {
	if r.ResourceMeta() == nil {
		r.setMeta(new(Meta))
	}
	return r.ResourceMeta()
}

// Unmarshal decodes one resource. The dynamic type of the result follows
// resourceType, wherever in the object it stands; a type that is not generated
// becomes [*Unknown]. A refused document is a [*SyntaxError].
func Unmarshal(data []byte) (Resource, error) {
	d := newDecoder(data)
	r := d.resource()
	d.end()
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

// Decode is [Unmarshal] for a caller who knows which type must come: a document
// of another type is a [*TypeError].
func Decode[T Resource](data []byte) (T, error) {
	var want T
	r, err := Unmarshal(data)
	if err != nil {
		return want, err
	}
	return As[T](r)
}

// As returns r as a T, or a [*TypeError].
func As[T Resource](r Resource) (T, error) {
	got, ok := r.(T)
	if !ok {
		return got, &TypeError{Want: typeName[T](), Got: knownType(r)}
	}
	return got, nil
}

// typeName avoids calling methods on a nil interface when T is Resource itself.
func typeName[T Resource]() string {
	var zero T
	if any(zero) == nil {
		return "Resource"
	}
	return zero.ResourceType()
}

// knownType never repeats a name that only the document knows.
func knownType(r Resource) string {
	if _, unknown := r.(*Unknown); r == nil || unknown {
		return "another type"
	}
	return r.ResourceType()
}

// Marshal encodes r. It fails on what has no JSON form: a [Decimal] that is no
// number, a string that is not UTF-8, a value nested beyond [MaxDepth].
func Marshal(r Resource) ([]byte, error) {
	buf, _ := buffers.Get().(*[]byte)
	out, err := Append((*buf)[:0], r)
	if err != nil {
		return nil, err
	}
	result := bytes.Clone(out)
	if cap(out) <= maxKept {
		*buf = out
		buffers.Put(buf)
	}
	return result, nil
}

// buffers keeps what Marshal grew, so that it allocates only what it returns.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the largest buffer worth keeping.
const maxKept = 1 << 20

// Append is [Marshal] into the spare capacity of dst.
func Append(dst []byte, r Resource) ([]byte, error) {
	if r == nil {
		return nil, errors.New("r4: no resource to encode")
	}
	e := &encoder{buf: dst, start: len(dst)}
	r.marshal(e)
	if e.err != nil {
		return nil, e.err
	}
	return e.buf, nil
}

// SyntaxError is a document that could not be decoded. It names where, by type
// and byte offset, and why; it quotes nothing of the document.
type SyntaxError struct {
	// Type is the FHIR type that was being read, "" outside any.
	Type string
	// Offset is the byte offset in the document.
	Offset int
	// Reason says what was wrong, in fixed words.
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("r4: at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("r4: in %s at byte %d: %s", e.Type, e.Offset, e.Reason)
}

// TypeError is a resource of another type than the one asked for.
type TypeError struct {
	Want, Got string
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("r4: expected %s, got %s", e.Want, e.Got)
}

// Unknown is a resource of a type this package does not generate, kept as it
// came. Its ID and metadata can be read; the rest is in Raw.
type Unknown struct {
	// Raw is the whole JSON object.
	Raw []byte

	typ  string
	id   string
	meta *Meta
}

// NewUnknown checks raw as [Unmarshal] does and keeps it verbatim, also when its
// type is one that is generated.
func NewUnknown(raw []byte) (*Unknown, error) {
	d := newDecoder(raw)
	u := &Unknown{}
	u.unmarshal(d)
	d.end()
	if d.err != nil {
		return nil, d.err
	}
	return u, nil
}

// ResourceType returns the type named by the document.
func (u *Unknown) ResourceType() string {
	if u == nil {
		return ""
	}
	return u.typ
}

// ResourceID returns the logical id.
func (u *Unknown) ResourceID() string { return u.id }

// ResourceMeta returns the metadata, nil when there is none.
func (u *Unknown) ResourceMeta() *Meta { return u.meta }

func (u *Unknown) setMeta(m *Meta) { u.meta = m }

// String names the type only; Raw may be a patient's record.
func (u *Unknown) String() string { return "r4.Unknown(" + u.typ + ")" }

func (u *Unknown) unmarshal(d *decoder) {
	start := d.pos
	var seen members
	for name, ok := d.first(""); ok; name, ok = d.next("") {
		switch string(name) {
		case "resourceType":
			seen.once(d, 0)
			u.typ = d.text()
		case "id":
			seen.once(d, 1)
			u.id = d.text()
		case "meta":
			seen.once(d, 2)
			u.meta = new(Meta)
			u.meta.unmarshal(d)
		default:
			d.skip()
		}
	}
	if !validType(u.typ) {
		d.fail("no resourceType, or one that is no name")
	}
	if d.err == nil {
		u.Raw = bytes.Clone(bytes.TrimLeft(d.data[start:d.pos], " \t\r\n"))
	}
}

func (u *Unknown) marshal(e *encoder) {
	if u == nil {
		e.fail("nil resource")
		return
	}
	e.raw(u.Raw)
}

// validType: a type's name ends up in URLs and logs.
func validType(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (i == 0 || c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// MarshalJSON returns Raw.
func (u *Unknown) MarshalJSON() ([]byte, error) { return marshalJSON(u) }

// UnmarshalJSON keeps data as [NewUnknown] does.
func (u *Unknown) UnmarshalJSON(data []byte) error {
	fresh, err := NewUnknown(data)
	if err == nil {
		*u = *fresh
	}
	return err
}

// GoString names the type only.
func (u *Unknown) GoString() string { return u.String() }

// Generated reports whether this package has a Go type of the name.
func Generated(name string) bool {
	_, unknown := newResource(name).(*Unknown)
	return !unknown
}

// TypeOf returns the resourceType of a document and looks no further. The error is
// a [*SyntaxError].
func TypeOf(data []byte) (string, error) {
	d := newDecoder(data)
	name := d.resourceType()
	if d.err != nil {
		return "", d.err
	}
	return name, nil
}

// Peek returns the resourceType of a document and checks its syntax, without
// decoding it. The error is a [*SyntaxError]. Members that appear twice are not noticed.
func Peek(data []byte) (string, error) {
	d := newDecoder(data)
	name := d.resourceType()
	d.skip()
	d.end()
	if d.err != nil {
		return "", d.err
	}
	return name, nil
}
