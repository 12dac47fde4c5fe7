package pacs

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"net/http"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// answer is a multipart answer of instances.
type answer struct {
	resp   *http.Response
	parts  *dicomweb.Parts
	odd    error // of a part that is no DICOM file
	length int64 // of the part that came last, -1 where it does not say
	closed bool
	read   bool // somebody still reads it; see Instance.end
}

// open asks for a study, a series or an instance. expected is how many instances are
// known of; listed, that the archive said it has them.
func (c *Client) open(ctx context.Context, study, series, instance string, listed bool, expected int, again error) (*answer, error) {
	template := "retrieve study"
	switch {
	case instance != "":
		template = "retrieve instance"
	case series != "":
		template = "retrieve series"
	}
	resp, err := c.ask(ctx, asking{
		template: template, path: dicomweb.Path(study, series, instance), accept: acceptInstances, class: hospital.Bulk,
		stream: true, listed: listed, fits: isInstances, again: again,
	})
	if err != nil {
		return nil, err
	}
	// More may have come since they were listed, and servers repeat themselves.
	parts, err := dicomweb.NewParts(resp.Body, resp.Header.Get("Content-Type"), dicomweb.Limits{MaxParts: 2*expected + 64})
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return &answer{resp: resp, parts: parts}, nil
}

// close may be called more than once.
func (a *answer) close() {
	if a.closed {
		return
	}
	a.closed = true
	_ = a.resp.Body.Close()
	if !a.read { // else its buffer must not become another answer's
		a.parts.Release()
	}
}

// next is the next instance: what its head says, and all of its bytes. What is no DICOM
// file is told at the end: it says nothing of the others.
func (a *answer) next() (dicomweb.Head, io.Reader, error) {
	for {
		part, err := a.parts.Next()
		if err == io.EOF && a.odd != nil { //nolint:errorlint // only as it is
			err = a.odd
		}
		if err != nil {
			return dicomweb.Head{}, nil, err
		}
		if part.MediaType != "application/dicom" {
			return dicomweb.Head{}, nil, hospital.Refuse(hospital.ErrUnexpectedAnswer, "a part that is no DICOM file")
		}
		a.length = part.Length
		head, prefix, err := dicomweb.ReadHead(part)
		if !errors.Is(err, dicomweb.ErrInvalid) {
			return head, &replay{prefix, part}, err
		}
		if a.odd = err; !a.pass(part) {
			return dicomweb.Head{}, nil, err
		}
	}
}

// maxOdd bounds what is read of a part only to get beyond it.
const maxOdd = 64 << 20

// pass goes to the end of a part; false when that is too far away.
func (a *answer) pass(part io.Reader) bool {
	n, _ := io.CopyN(io.Discard, part, maxOdd)
	return n < maxOdd
}

// replay reads what was read ahead once more, and then the rest.
type replay struct {
	prefix []byte
	rest   io.Reader
}

// Read reads.
func (r *replay) Read(p []byte) (int, error) {
	if len(r.prefix) > 0 {
		n := copy(p, r.prefix)
		r.prefix = r.prefix[n:]
		return n, nil
	}
	return r.rest.Read(p)
}

// Instance is one DICOM file as it arrives (PS3.10): an io.Reader of its bytes, as they
// are stored. It is for one goroutine, until the next is asked for.
type Instance struct {
	// UID is the SOP Instance UID.
	UID string
	// Study and Series are those that the file itself names.
	Study, Series string
	// SOPClass and TransferSyntax say what it is and how it is written.
	SOPClass, TransferSyntax string

	reading  chan struct{} // full while somebody reads: a request that was given up may go on
	download *download
	ctx      context.Context //nolint:containedctx // of the loop it is part of
	origin   hospital.Origin
	answer   *answer
	body     io.Reader
	alone    bool // the answer has nothing else
	moved    bool // it is continued from another answer
	again    error
	tries    int
	sum      maphash.Hash // of what was read
	read     int64
	length   int64 // that whoever sent what was read has announced, -1 for none
	failure  error
}

// Origin is who sent it: where it was continued, who sent the end of it.
func (in *Instance) Origin() hospital.Origin { return in.origin }

// maxTries bounds how often one instance is continued.
const maxTries = 4

func (d *download) instance(ctx context.Context, h dicomweb.Head, a *answer, body io.Reader) *Instance {
	return &Instance{
		UID: h.SOPInstance, Study: h.Study, Series: h.Series, SOPClass: h.SOPClass, TransferSyntax: h.TransferSyntax,
		reading: make(chan struct{}, 1), download: d, ctx: ctx, origin: originOf(a.resp), answer: a, body: body, length: a.length,
	}
}

// fits: is it of what was asked for, and no larger than allowed?
func (d *download) fits(a *answer, h dicomweb.Head, want ref) error {
	if a.length > d.MaxInstance {
		return errLarge
	}
	if h.Study != d.Study || (d.Series != "" && h.Series != d.Series) || (d.Instance != "" && h.SOPInstance != d.Instance) ||
		(want.series != "" && h.Series != want.series) || (want.instance != "" && h.SOPInstance != want.instance) {
		return hospital.Refuse(hospital.ErrUnexpectedAnswer, "an instance of another study or series")
	}
	if !d.named && h.PatientID != "" && !d.patient.same(h) {
		return errTwoPatients
	}
	return nil
}

// Read reads the file. io.EOF means that all of it was read; any other error that it
// cannot be had whole: what was read of it must be thrown away.
func (in *Instance) Read(p []byte) (int, error) {
	in.reading <- struct{}{}
	defer func() { <-in.reading }()
	for in.failure == nil && len(p) > 0 {
		n, err := in.body.Read(p)
		if n > 0 {
			if in.count(p[:n]); in.failure != nil {
				return 0, in.failure
			}
			return n, nil // what else there is comes again
		}
		if errors.Is(err, io.EOF) {
			if err = in.whole(); err == nil {
				return 0, io.EOF
			}
		}
		if err == nil {
			continue
		}
		broke, again := cut(in.answer.resp, err)
		if errors.Is(err, dicomweb.ErrInvalid) { // of another length than it said: a boundary inside
			broke, again = brokenOff(in.answer.resp)
			in.length = -1 // it was not true
		}
		if broke {
			err = in.resume(again)
		}
		if err != nil {
			in.failure = settled(err)
		}
	}
	return 0, in.failure
}

// whole: the end of an answer with nothing else must have been seen.
func (in *Instance) whole() error {
	switch {
	case in.length >= 0 && in.read != in.length: // of which another site has sent the beginning
		return errDiffers
	case !in.alone:
		return nil
	}
	switch _, err := in.answer.parts.Next(); {
	case err == io.EOF: //nolint:errorlint // only as it is
		return nil
	case err == nil:
		return hospital.Refuse(hospital.ErrUnexpectedAnswer, "more than the one instance that was asked for")
	default:
		return err
	}
}

var errLarge = hospital.Refuse(hospital.ErrTooLarge, "an instance is larger than Retrieval.MaxInstance")

func (in *Instance) count(p []byte) {
	_, _ = in.sum.Write(p)
	in.read += int64(len(p))
	if in.read > in.download.MaxInstance {
		in.failure = errLarge
		return
	}
	in.download.tell(int64(len(p)))
}

// resume continues the file from another answer: the same bytes must come first.
func (in *Instance) resume(again error) error {
	d := in.download
	for in.tries++; in.tries <= maxTries; in.tries++ {
		in.moved, in.again = true, again
		in.leave()
		a, err := d.client.open(in.ctx, d.Study, in.Series, in.UID, true, 1, again)
		if err != nil {
			return d.missing(d.listed, err)
		}
		in.answer, in.alone = a, true
		if err = in.skip(a); err == nil {
			return nil
		}
		var broke bool
		if broke, again = cut(a.resp, err); !broke {
			return err
		}
	}
	return d.missing(d.listed, hospital.ErrIncomplete)
}

// skip compares what has been read with how the other answer begins.
func (in *Instance) skip(a *answer) error {
	head, body, err := a.next()
	if err == io.EOF { //nolint:errorlint // only as it is; it must not be taken for the file's end
		err = hospital.Refuse(hospital.ErrUnexpectedAnswer, "an answer without the instance that was asked for")
	}
	if err != nil {
		return err
	}
	if err := in.download.fits(a, head, ref{in.Series, in.UID}); err != nil {
		return err
	}
	in.SOPClass, in.TransferSyntax, in.origin = head.SOPClass, head.TransferSyntax, originOf(a.resp)
	var sum maphash.Hash
	sum.SetSeed(in.sum.Seed())
	if n, err := io.CopyN(&sum, body, in.read); err != nil || n < in.read {
		if errors.Is(err, io.EOF) {
			return errDiffers
		}
		return err
	}
	if sum.Sum64() != in.sum.Sum64() {
		return errDiffers
	}
	if in.body = body; in.read == 0 {
		in.length = a.length
	}
	return nil
}

// errDiffers: two halves of different files are none.
var errDiffers = hospital.Refuse(hospital.ErrIncomplete, "the other site's copy has other bytes; retrieve the instance again")

var errOver = hospital.Refuse(hospital.ErrInvalidArgument, "an instance can be read until the next is asked for")

// end ends reading. Whoever is at it when the loop is left keeps the answer's buffer.
func (in *Instance) end() {
	select {
	case in.reading <- struct{}{}:
		in.failure = cmp.Or(in.failure, errOver)
		<-in.reading
	default:
		in.answer.read = true
	}
}

// leave closes an answer that is the instance's own.
func (in *Instance) leave() {
	if in.moved && in.answer != nil && in.alone {
		in.answer.close()
	}
}
