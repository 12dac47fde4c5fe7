package r4

import "unsafe" // for Sizeof only

// codec is what every generated struct's pointer has.
type codec[T any] interface {
	*T
	unmarshal(d *decoder)
	marshal(e *encoder)
}

func decodeList[T any, P codec[T]](d *decoder, name string, extra *Extra) []T {
	var out []T
	for more := d.open(name, extra); more; more = d.more() {
		var item T
		d.values += int(unsafe.Sizeof(item)) / valueSize
		out = append(out, item)
		P(&out[len(out)-1]).unmarshal(d)
	}
	return out
}

func encodeList[T any, P codec[T]](e *encoder, name string, list []T, extra Extra) {
	if len(list) == 0 {
		e.stashed(name, extra)
		return
	}
	e.name(name)
	e.openList()
	for i := range list {
		e.comma()
		P(&list[i]).marshal(e)
	}
	e.closeList()
}

// valueSize is how many bytes of memory one of [MaxValues] stands for: an empty
// object costs little to send and its struct a lot to keep.
const valueSize = 64

func marshalJSON(x interface{ marshal(e *encoder) }) ([]byte, error) {
	e := &encoder{}
	x.marshal(e)
	return e.buf, e.err
}

// unmarshalJSON replaces *x; members that x had and data has not are gone.
func unmarshalJSON[T any, P codec[T]](data []byte, x P) error {
	d := newDecoder(data)
	var fresh T
	if r, ok := any(x).(Resource); ok && d.resourceType() != r.ResourceType() {
		d.fail("another resourceType")
	}
	P(&fresh).unmarshal(d)
	d.end()
	if d.err == nil {
		*x = fresh
	}
	return d.err
}

func (d *decoder) resources(name string, extra *Extra) []Resource { //nolint:unparam // contained is the only list so far
	var out []Resource
	for more := d.open(name, extra); more; more = d.more() {
		out = append(out, d.resource())
	}
	return out
}

// constant reads the resourceType that the caller has already chosen by.
func (d *decoder) constant(want string) {
	if d.text() != want {
		d.fail("another resourceType")
	}
}
