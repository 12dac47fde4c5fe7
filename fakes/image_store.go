package fakes

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"time"
)

// Reasons for which an instance fails or is stored with a warning (PS3.18 annex I).
const (
	reasonCoerced       = 0xB000 // data elements were changed
	reasonThere         = 0xB00E // 45070: it is there already
	reasonMismatch      = 0x0110 // 272, for an instance of another study than the path's
	reasonNotUnderstood = 0xC000
)

// maxHead is how much of a file may come before its pixels.
const maxHead = 1 << 20

// defaultKeep is [Personality.Keep].
const defaultKeep = 256 << 20

// stored is what becomes of the parts of one request.
type stored struct {
	good, failed, others []any
	warned               bool
	study                string // of all of them, where it is one
	created              []string
}

// receive runs STOW-RS. A part is stored as soon as it has come whole.
func (s *server) receive(in *request) *answer {
	call := in.image
	if call.media.media != "multipart/related" || call.media.params["type"] != "application/dicom" || call.media.params["boundary"] == "" {
		return s.refuseImage(http.StatusUnsupportedMediaType, `only multipart/related; type="application/dicom"`)
	}
	var out stored
	parts := multipart.NewReader(call.body, call.media.params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == nil {
			err = s.receivePart(in, p, &out)
		}
		if errors.Is(err, io.EOF) && call.body.err == nil {
			break
		}
		if call.body.err != nil && err != nil {
			return &answer{lost: true, created: out.created, changed: len(out.good) > 0}
		}
		if err != nil {
			a := s.refuseImage(http.StatusBadRequest, "a part cannot be read")
			a.created, a.changed = out.created, len(out.good) > 0
			return a
		}
	}
	_, _ = io.Copy(io.Discard, call.body) // what is behind the last part
	return s.report(out)
}

// receivePart takes one part. Its error is that of the body.
func (s *server) receivePart(in *request, p *multipart.Part, out *stored) error {
	typ := p.Header.Get("Content-Type")
	if s.hospital.personality.BareParts && typ != "application/dicom" {
		_, err := io.Copy(io.Discard, p)
		return err
	}
	if parseAccepted(typ).media != "application/dicom" {
		out.others = append(out.others, reason(tagFailure, reasonNotUnderstood))
		_, err := io.Copy(io.Discard, p)
		return err
	}
	a, err := s.take(p)
	if errors.Is(err, errNotDICOM) {
		out.others = append(out.others, reason(tagFailure, reasonNotUnderstood))
		return nil
	}
	if err != nil {
		return err
	}
	s.keep(in, a, out)
	return nil
}

// arrival is an instance that comes, and what came of it before it was coerced.
type arrival struct {
	*instance
	hospital  *Hospital
	came, put hash.Hash
	cameN     int64
}

// take reads a file: its head, then what follows as far as there is room for it.
func (s *server) take(r io.Reader) (*arrival, error) {
	head, err := io.ReadAll(io.LimitReader(r, maxHead))
	if err != nil {
		return nil, err
	}
	a := &arrival{instance: &instance{whole: true}, hospital: s.hospital, came: sha256.New(), put: sha256.New(), cameN: int64(len(head))}
	a.came.Write(head)
	var bad error
	if a.file, bad = parseFile(head); bad == nil && s.hospital.personality.Coerce {
		head = a.coerced(head)
		a.file, bad = parseFile(head)
	}
	a.add(head)
	n, err := io.Copy(io.MultiWriter(a.came, writer(a.add)), r)
	a.cameN += n
	if err == nil && (bad != nil || !a.complete(a.size)) {
		err = errNotDICOM
	}
	if err != nil {
		s.hospital.release(a.instance)
		return nil, err
	}
	a.digest = [sha256.Size]byte(a.put.Sum(nil))
	return a, nil
}

type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// add keeps what comes while there is room for all of the instance.
func (a *arrival) add(p []byte) {
	a.put.Write(p)
	a.size += int64(len(p))
	if a.whole && a.hospital.reserve(len(p)) {
		a.head = append(a.head, p...)
		return
	}
	a.hospital.release(a.instance)
	a.head, a.whole = nil, false
}

// reserve takes room for bytes that are kept, and reports whether there is any.
func (h *Hospital) reserve(n int) bool {
	limit := h.personality.Keep
	if limit == 0 {
		limit = defaultKeep
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept+int64(n) > limit {
		return false
	}
	h.kept += int64(n)
	return true
}

func (h *Hospital) release(i *instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept -= int64(len(i.head))
}

// keep decides on an instance that came whole.
func (s *server) keep(in *request, i *arrival, out *stored) {
	names := []any{i.set.text(tagSOPClass), i.sop}
	failure := 0
	if in.image.refuse != nil {
		failure = in.image.refuse(i.sop)
	}
	if study := in.image.names["studies"]; failure == 0 && study != "" && study != i.study {
		failure = reasonMismatch
	}
	var existing *instance
	if failure == 0 {
		existing = s.store.add(i.instance)
	}
	if existing != nil && s.hospital.personality.RefuseDuplicates {
		failure = reasonThere
	}
	if failure != 0 || existing != nil {
		s.hospital.release(i.instance)
	}
	if failure != 0 {
		out.failed = append(out.failed, referenced(names, reason(tagFailure, failure)))
		return
	}
	out.created = append(out.created, s.hospital.ledger.receive(Receipt{
		Time: time.Now(), Endpoint: in.endpoint.Name(), Store: s.store.id, SOPInstance: i.sop,
		SHA256: [sha256.Size]byte(i.came.Sum(nil)), Size: i.cameN, Kept: existing == nil,
	})...)
	more := dataset{tagRetrieveURL: textElement("UR", s.placeOf(i.instance, instanceLevel))}
	if s.hospital.personality.Coerce && existing == nil {
		more[tagWarning], out.warned = numberElement("US", reasonCoerced), true
	}
	out.good = append(out.good, referenced(names, more))
	if url := s.placeOf(i.instance, studyLevel); len(out.good) == 1 {
		out.study = url
	} else if out.study != url {
		out.study = ""
	}
}

func reason(tag uint32, n int) dataset { return dataset{tag: numberElement("US", n)} }

// referenced names an instance.
func referenced(names []any, more dataset) dataset {
	more[tagRefClass] = element{vr: "UI", values: names[:1]}
	more[tagRefInstance] = element{vr: "UI", values: names[1:]}
	return more
}

// report answers as PS3.18 section 10.5.3 says.
func (s *server) report(out stored) *answer {
	failed := len(out.failed) + len(out.others)
	if len(out.good)+failed == 0 && !s.hospital.personality.BareParts {
		return s.refuseImage(http.StatusBadRequest, "no instances")
	}
	d := dataset{}
	if out.study != "" {
		d[tagRetrieveURL] = textElement("UR", out.study)
	}
	for tag, list := range map[uint32][]any{tagReferenced: out.good, tagFailed: out.failed, tagOtherFailures: out.others} {
		if len(list) > 0 {
			d[tag] = element{vr: "SQ", values: list}
		}
	}
	a := &answer{status: http.StatusOK, header: http.Header{}, body: encode(d), created: out.created, changed: len(out.good) > 0}
	a.header.Set("Content-Type", "application/dicom+json")
	switch {
	case len(out.good) == 0 && failed > 0:
		a.status = http.StatusConflict
	case failed > 0 || out.warned:
		a.status = http.StatusAccepted
	}
	return a
}

// coerced is the file with another name and number of the patient: those it came with,
// and more. What is deflated stays.
func (f file) coerced(head []byte) []byte {
	head = f.prefixed(head, tagPatientID, "C-")
	return f.prefixed(head, tagPatientName, "COERCED ")
}

// prefixed writes a value with something before it. Values behind it are not found any more.
func (f file) prefixed(data []byte, tag uint32, prefix string) []byte {
	at, ok := f.spans[tag]
	if !ok {
		return data
	}
	value := append([]byte(prefix), data[at.from:at.to]...)
	length := make([]byte, at.lengthSize)
	var order binary.ByteOrder = binary.LittleEndian
	if f.syntax == explicitBig {
		order = binary.BigEndian
	}
	if at.lengthSize == 2 {
		order.PutUint16(length, uint16(len(value))) //nolint:gosec // a name is short
	} else {
		order.PutUint32(length, uint32(len(value))) //nolint:gosec // a name is short
	}
	return slices.Concat(data[:at.lengthAt], length, value, data[at.to:])
}
