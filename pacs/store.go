package pacs

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// Upload says what to store and how.
type Upload struct {
	// Study is the study that all must belong to; empty takes what comes.
	Study string
	// BatchBytes and BatchFiles bound one request: more is sent in several, one after
	// another; a file that is larger goes alone. Zero means 64 MiB and 100 files.
	BatchBytes int64
	BatchFiles int
	// Verify reads every instance back and compares it. What was there before is always
	// read back.
	Verify bool
	// Progress is told after each request how far it has come, in the goroutine that
	// ranges. nil tells nobody.
	Progress func(Progress)
}

// StoreOutcome is what became of a file.
type StoreOutcome uint8

const (
	// NotStored is for a file that is not there; Stored.Err says why, or, with
	// hospital.ErrOutcomeUnknown, that nobody can tell.
	NotStored StoreOutcome = iota
	// StoredNew means that the archive says that it has stored it, and with Upload.Verify it has
	// these very bytes.
	StoredNew
	// StoredBefore means that these very bytes were there already.
	StoredBefore
	// StoredCoerced means that the archive has it, but changed attributes, such as the patient's name
	// after its own records (warning B000). Where it was read back, the pixels are these.
	StoredCoerced
)

// String returns the name.
func (o StoreOutcome) String() string {
	return [...]string{"not_stored", "stored", "stored_before", "coerced"}[o]
}

// Stored is what became of one file.
type Stored struct {
	// Index is its place among the files.
	Index int
	// UID, SOPClass, Series and Study are what its head says.
	UID, SOPClass, Series, Study string
	Outcome                      StoreOutcome
	// Reason is the archive's warning or failure reason (0008,1196 or 0008,1197), 0 for
	// none: 0xB000 coerced, 0x0110 processing failure, 0x0122 SOP class not supported.
	Reason uint16
	// Err is why it is not stored: hospital.ErrConflict when another file with its UID is
	// there, hospital.ErrRefused when the archive refused it or says nothing of it,
	// hospital.ErrInvalidArgument when it is not a DICOM file, and then nothing was sent
	// of it, hospital.ErrOutcomeUnknown when nobody can tell: a [Reader] was sent and cannot
	// be compared, or the archive refused it and cannot be asked. Repeat the call with it.
	Err error
}

// Store (影像上传) sends files to the archive (STOW-RS, PS3.18 section 10.5) and yields
// what became of each, in their order. The Number of an instance is its SOP Instance
// UID: the archive is asked first which it has already, so the call may be repeated,
// after a crash too, and sends only what is missing. A file whose UID is there with other
// pixels is a conflict: archives keep what they have and answer success all the same.
//
// When the connection breaks, what arrived is found out and the rest is sent. The
// sequence ends with an error when that cannot be done: hospital.ErrOutcomeUnknown means
// that instances of the request under way may be stored; repeat the call. Its Resolve says
// true when all of them are there, false when not all are and no more will come.
func (c *Client) Store(ctx context.Context, files []File, u Upload, opts ...hospital.WriteOption) iter.Seq2[hospital.Found[Stored], error] {
	return func(yield func(hospital.Found[Stored], error) bool) {
		if err := u.check(files); err != nil {
			yield(hospital.Found[Stored]{}, err)
			return
		}
		s := &storing{client: c, Upload: u, opts: opts, yield: yield, progress: Progress{Total: len(files)}}
		for batch := range s.batches(ctx, files) {
			if !s.send(ctx, batch) {
				return
			}
		}
	}
}

func (u *Upload) check(files []File) error {
	if u.BatchBytes == 0 {
		u.BatchBytes = 64 << 20
	}
	if u.BatchFiles == 0 {
		u.BatchFiles = 100
	}
	bad := u.BatchBytes < 0 || u.BatchFiles < 0 || (u.Study != "" && !dicomweb.ValidUID(u.Study))
	for _, f := range files {
		bad = bad || f.Open == nil
	}
	if bad {
		return &hospital.Error{Code: hospital.ErrInvalidArgument, Op: "pacs.Store", Reason: "files that can be opened, sizes that are not negative, a UID"}
	}
	return nil
}

// item is one file and what is known of it.
type item struct {
	File
	Stored
	done   bool        // what became of it is known
	spoilt atomic.Bool // it could not be read as it must be
}

// openOnce opens the file for one request, which may still read it when the next begins.
func (it *item) openOnce() (io.ReadCloser, error) {
	r, err := it.Open()
	if err != nil {
		it.spoilt.Store(true)
		return nil, err
	}
	return &sending{ReadCloser: r, item: it, left: it.Size}, nil
}

// sending is a file on its way: never more than it had, and never less without an error.
type sending struct {
	io.ReadCloser
	item   *item
	left   int64       // negative when not known
	closed atomic.Bool // the request was given up
}

// Close closes.
func (s *sending) Close() error {
	s.closed.Store(true)
	return s.ReadCloser.Close()
}

// Read reads.
func (s *sending) Read(p []byte) (int, error) {
	known := s.item.Size >= 0
	if known {
		p = p[:min(int64(len(p)), s.left+1)]
	}
	n, err := s.ReadCloser.Read(p)
	s.left -= int64(n)
	end := err == io.EOF // only as it is: inside another error it is a source that broke
	if !end && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case known && s.left < 0:
		n, err = n-1, dicomweb.ErrChanged
	case known && end && s.left > 0:
		err = dicomweb.ErrChanged
	case err == nil, end, s.closed.Load(), errors.Is(err, errOvertaken):
		return n, err
	}
	s.item.spoilt.Store(true)
	return n, err
}

// storing is the progress of a Store.
type storing struct {
	Upload
	client   *Client
	opts     []hospital.WriteOption
	yield    func(hospital.Found[Stored], error) bool
	progress Progress
}

// batches are the files in portions, each with its head read.
func (s *storing) batches(ctx context.Context, files []File) iter.Seq[[]*item] {
	return func(yield func([]*item) bool) {
		var batch []*item
		var size int64
		for i, f := range files {
			if f.Size == 0 { // no DICOM file is empty
				f.Size = -1
			}
			it := s.inspect(ctx, i, f)
			grown := size + max(f.Size, 0)
			if len(batch) > 0 && (len(batch) == s.BatchFiles || grown > s.BatchBytes || f.Size < 0 || holds(batch, it.UID)) {
				if !yield(batch) {
					return
				}
				batch, grown = nil, max(f.Size, 0)
			}
			if batch, size = append(batch, it), grown; f.Size < 0 {
				size = s.BatchBytes // nobody knows how long; it goes alone
			}
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

// holds: of two with one UID an archive keeps the first and names both; only a look
// between them tells.
func holds(batch []*item, uid string) bool {
	return uid != "" && slices.ContainsFunc(batch, func(it *item) bool { return it.UID == uid })
}

// inspect reads a file's head.
func (s *storing) inspect(ctx context.Context, i int, f File) *item {
	it := &item{File: f}
	it.Index = i
	head, err := headOf(ctx, f)
	if err == nil && s.Study != "" && head.Study != s.Study {
		err = hospital.Refuse(hospital.ErrInvalidArgument, "the file is of another study")
	}
	if err != nil {
		it.fail(err)
		return it
	}
	it.UID, it.SOPClass, it.Series, it.Study = head.SOPInstance, head.SOPClass, head.Series, head.Study
	return it
}

func headOf(ctx context.Context, f File) (head dicomweb.Head, err error) {
	err = f.read(ctx, func(r io.Reader) error {
		head, _, err = dicomweb.ReadHead(r)
		if err != nil {
			err = hospital.Refuse(hospital.ErrInvalidArgument, "not a DICOM file, or without the UIDs that one must have")
		}
		return err
	})
	return head, err
}

func (it *item) fail(err error) { it.Outcome, it.Err, it.done = NotStored, err, true }

func (it *item) succeed(o StoreOutcome) { it.Outcome, it.Err, it.done = o, nil, true }

// send stores a batch and shows what became of it; false ends the sequence.
func (s *storing) send(ctx context.Context, batch []*item) bool {
	b := &batching{storing: s, items: batch, store: op("Store", hospital.Bulk)}
	origin, err := b.run(ctx)
	if err != nil {
		s.yield(hospital.Found[Stored]{}, err)
		return false
	}
	for _, it := range batch {
		if it.forget != nil {
			it.forget()
		}
	}
	for _, it := range batch {
		s.progress.Instances++
		s.progress.Bytes += max(it.Size, 0)
		if !s.yield(hospital.Found[Stored]{Resource: it.Stored, Origin: origin}, nil) {
			return false
		}
	}
	if s.Progress != nil {
		s.Progress(s.progress)
	}
	return true
}
