package pacs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/verb"
)

// Retrieval says what to retrieve.
type Retrieval struct {
	// Study is required; without Series all of it is retrieved, without Instance all of
	// the series. An Instance needs its Series too.
	Study, Series, Instance string
	// Parallel is how many series are asked for at once, ahead of the one that is being
	// read; they come in order all the same. Zero or one asks for all in one request; more
	// than 8 is 8.
	Parallel int
	// MaxInstance bounds one instance in bytes: a larger one is hospital.ErrTooLarge. Zero
	// means 8 GiB.
	MaxInstance int64
	// Progress is told how far it has come, about every MiB and after each instance, in
	// the goroutine that reads. nil tells nobody.
	Progress func(Progress)
}

// Progress is how far a retrieval or a store has come.
type Progress struct {
	// Instances of Total are done. Of a retrieval Total is what the archive listed; more may
	// come. Of a store it is the number of files, and Instances counts those too that were
	// not stored.
	Instances, Total int
	// Bytes of files so far.
	Bytes int64
}

// defaultMaxInstance bounds an instance where nobody said how.
const defaultMaxInstance = 8 << 30

// maxParallel bounds connections that wait for their turn.
const maxParallel = 8

// Retrieve (影像调阅) yields the instances of a study, a series, or one instance, as they
// are stored: nothing is decoded, nothing transcoded (WADO-RS, PS3.18 section 10.4).
// Each is a stream, to be read before the next; what is not read is skipped.
// hospital.ErrNotFound when there is no such study, series or instance.
//
// When a site is lost on the way the rest comes from another: an instance that was cut
// is continued at the byte where it broke off, once the other site's copy has proved to
// begin with the same bytes. A sequence that ends without an error has yielded every
// instance that the archive listed, whole. Otherwise its last pair is an error, for
// errors.Is hospital.ErrIncomplete with a [*MissingError] that names what did not come,
// or hospital.ErrStale when all came that a copy listed, which may lack what was stored
// last; an instance of another study, or bytes that are not DICOM, are
// hospital.ErrUnexpectedAnswer, and then the instance before may be short, too.
func (c *Client) Retrieve(ctx context.Context, r Retrieval, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Instance], error] {
	return hospital.Stream(ctx, c.client, op("Retrieve", hospital.Bulk), func(ctx context.Context, _ *fhir.Client) iter.Seq2[hospital.Found[*Instance], error] {
		if err := r.check(); err != nil {
			return verb.Fail[*Instance](err)
		}
		return func(yield func(hospital.Found[*Instance], error) bool) {
			ctx, cancel := context.WithCancel(ctx)
			d := &download{client: c, Retrieval: r, left: map[string]ref{}, came: map[string]bool{}, yield: yield}
			defer d.end(cancel)
			if err := d.run(ctx); err != nil {
				yield(hospital.Found[*Instance]{}, settled(err))
			}
		}
	}, opts...)
}

func (r *Retrieval) check() error {
	if r.MaxInstance == 0 {
		r.MaxInstance = defaultMaxInstance
	}
	if r.MaxInstance < 0 || r.Parallel < 0 {
		return hospital.Refuse(hospital.ErrInvalidArgument, "MaxInstance and Parallel must not be negative")
	}
	r.Parallel = min(r.Parallel, maxParallel)
	return checkUIDs(r.Study, r.Series, r.Instance)
}

// ref is an instance that the archive has listed.
type ref struct{ series, instance string }

// download is the progress of a Retrieve.
type download struct {
	Retrieval
	client *Client
	yield  func(hospital.Found[*Instance], error) bool

	listed   []ref
	left     map[string]ref // not delivered yet, by SOP Instance UID
	came     map[string]bool
	named    bool   // the list says whose they are, and that it is one patient
	patient  person // else the files do
	progress Progress
	told     int64 // bytes of the last Progress
	opening  []*pending
	stopped  bool // by the caller
	copied   bool // listed by a copy, which may lack what came last
}

// end leaves nothing open.
func (d *download) end(cancel context.CancelFunc) {
	cancel()
	for _, p := range d.opening {
		if answer, err := p.wait(); err == nil {
			answer.close()
		}
	}
}

func (d *download) run(ctx context.Context) error {
	if err := d.list(ctx); err != nil {
		return err
	}
	var broke error
	units := d.units()
	for i, u := range units {
		for next := len(d.opening); next < len(units) && next < i+max(1, d.Parallel); next++ {
			d.opening = append(d.opening, d.ahead(ctx, units[next]))
		}
		again, err := d.unit(ctx, u, d.opening[i])
		if err == nil && !d.stopped {
			err = d.rest(ctx, u, again)
		}
		if err != nil || d.stopped {
			return err
		}
		broke = cmp.Or(broke, again)
	}
	copied := d.copied
	if broke != nil && d.list(ctx) == nil { // what broke off may have had more than was listed
		if err := d.rest(ctx, unit{listed: d.listed}, broke); err != nil || d.stopped {
			return err
		}
	}
	if copied { // nobody can tell whether all that it has is all there is
		return hospital.ErrStale
	}
	return nil
}

// list asks what there is; what comes is held against it.
func (d *download) list(ctx context.Context) error {
	d.listed = nil
	of := map[string]string{} // series
	if d.Instance != "" {
		d.listed = []ref{{d.Series, d.Instance}}
	} else {
		for found, err := range some(d.client.instances(ctx, d.Study, d.Series)) {
			if err != nil {
				return err
			}
			if s := found.Resource.Series; s != "" && !dicomweb.ValidUID(s) { // it gets into a path
				return hospital.Refuse(hospital.ErrUnexpectedAnswer, "an instance of a series without UID")
			}
			if s, twice := of[found.Resource.UID]; twice && s != found.Resource.Series {
				return hospital.Refuse(hospital.ErrUnexpectedAnswer, "one instance UID in two series; ask for each series")
			}
			of[found.Resource.UID] = found.Resource.Series
			d.listed = append(d.listed, ref{found.Resource.Series, found.Resource.UID})
			d.named = d.named || found.Resource.Dataset.Text(dicomweb.TagPatientID) != ""
			d.copied = d.copied || found.Origin.ReplicaOf != ""
		}
	}
	for _, r := range d.listed {
		if !d.came[r.instance] {
			d.left[r.instance] = r
		}
	}
	d.progress.Total = len(d.listed)
	return nil
}

// unit is what is asked for with one request: everything, or one series.
type unit struct {
	series string
	listed []ref
}

func (d *download) units() []unit {
	if d.Parallel <= 1 || d.Series != "" {
		return []unit{{d.Series, d.listed}}
	}
	var out []unit
	for _, r := range d.listed {
		i := slices.IndexFunc(out, func(u unit) bool { return u.series == r.series })
		if i < 0 {
			out, i = append(out, unit{series: r.series}), len(out)
		}
		out[i].listed = append(out[i].listed, r)
	}
	return out
}

// pending is an answer that is being waited for.
type pending struct {
	done   chan struct{}
	answer *answer
	err    error
}

func (p *pending) wait() (*answer, error) {
	<-p.done
	return p.answer, p.err
}

// ahead begins to wait for a unit's answer.
func (d *download) ahead(ctx context.Context, u unit) *pending {
	p := &pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.answer, p.err = d.client.open(ctx, d.Study, u.series, d.Instance, d.Instance == "", len(u.listed), nil)
	}()
	return p
}

// unit delivers what one answer brings. again is how it broke off, for who is asked for
// the rest; err is what no other site would help with.
func (d *download) unit(ctx context.Context, u unit, p *pending) (again error, err error) {
	a, err := p.wait()
	switch {
	case answered5xx(err) && d.Instance == "": // one file that is lost may fail all of them
		return err, nil
	case err != nil && len(d.came) > 0:
		return nil, d.missing(d.listed, err)
	case err != nil:
		return nil, err
	}
	defer a.close()
	for !d.stopped {
		head, body, err := a.next()
		switch broke, again := cut(a.resp, err); {
		case err == io.EOF: //nolint:errorlint // only as it is: the end was seen
			return nil, nil
		case broke:
			return again, a.odd // after what is no file, what came before it may be short
		case err != nil:
			return nil, err
		}
		if err := d.fits(a, head, ref{series: u.series}); err != nil {
			return nil, err
		}
		if d.came[head.SOPInstance] { // a second time
			if n, _ := io.CopyN(io.Discard, body, d.MaxInstance); n == d.MaxInstance {
				return nil, hospital.ErrTooLarge
			}
			continue
		}
		if _, listed := d.left[head.SOPInstance]; !listed { // it came since: now it must come whole
			one := ref{head.Series, head.SOPInstance}
			d.left[one.instance], d.listed = one, append(d.listed, one)
		}
		in := d.instance(ctx, head, a, body)
		if err := d.deliver(in); err != nil {
			return nil, err
		}
		if in.moved && !d.stopped { // the rest of this answer is lost
			return in.again, a.odd
		}
	}
	return nil, nil
}

// answered5xx: somebody is there and fails at it.
func answered5xx(err error) bool {
	var lost *failover.Error
	return errors.As(err, &lost) && lost.Status >= http.StatusInternalServerError && lost.Context == nil
}

// rest delivers, one by one, what was listed and did not come.
func (d *download) rest(ctx context.Context, u unit, again error) error {
	var cause error
	failed := 0
	for _, r := range u.listed {
		if _, missing := d.left[r.instance]; !missing {
			continue
		}
		err := d.single(ctx, r, again)
		if d.stopped {
			return nil
		}
		cause = cmp.Or(cause, err)
		switch { // one that nobody has, or that the archive cannot read, says nothing of the others
		case err == nil || hospital.CodeOf(err) == hospital.ErrStale:
			continue
		case answered5xx(err) && failed < maxTries:
			failed++
			continue
		}
		return d.missing(d.listed, err)
	}
	if !slices.ContainsFunc(u.listed, func(r ref) bool { _, missing := d.left[r.instance]; return missing }) {
		return nil
	}
	return d.missing(d.listed, cause)
}

func (d *download) single(ctx context.Context, r ref, again error) error {
	a, err := d.client.open(ctx, d.Study, r.series, r.instance, true, 1, again)
	if err != nil {
		return err
	}
	defer a.close()
	head, body, err := a.next()
	if err != nil {
		if broke, again := cut(a.resp, err); broke {
			return d.once(ctx, r, again)
		}
		return err
	}
	if err := d.fits(a, head, r); err != nil {
		return err
	}
	in := d.instance(ctx, head, a, body)
	in.alone = true
	return d.deliver(in)
}

// once more, elsewhere: the answer broke off before its first instance.
func (d *download) once(ctx context.Context, r ref, again error) error {
	in := &Instance{reading: make(chan struct{}, 1), Series: r.series, UID: r.instance, Study: d.Study, alone: true, download: d, ctx: ctx}
	defer in.leave()
	if err := in.resume(again); err != nil {
		return err
	}
	return d.deliver(in)
}

// deliver hands an instance over and sees that all of it came.
func (d *download) deliver(in *Instance) error {
	defer in.leave()
	defer in.end() // also when the loop is left by a panic
	d.stopped = !d.yield(hospital.Found[*Instance]{Resource: in, Origin: in.origin}, nil)
	if d.stopped {
		return nil
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	delete(d.left, in.UID)
	d.came[in.UID] = true
	d.progress.Instances++
	d.tell(0)
	return nil
}

// tell reports progress, n bytes further; 0 reports at once.
func (d *download) tell(n int64) {
	d.progress.Bytes += n
	if d.Progress != nil && (n == 0 || d.progress.Bytes-d.told >= 1<<20) {
		d.told = d.progress.Bytes
		d.Progress(d.progress)
	}
}
