package pacs

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// batching is one portion of a Store: a write of its own, which may happen only once
// per instance.
type batching struct {
	*storing
	store hospital.Op
	items []*item
	seen  bool // it has been looked what is there
	told  bool // what became of each; what is asked later is asked by Error.Resolve
}

func (b *batching) run(ctx context.Context) (hospital.Origin, error) {
	if len(b.open()) == 0 {
		return hospital.Origin{}, nil // none of them is a DICOM file
	}
	b.store.Repeat, b.store.PerStore = hospital.Guarded, true
	origin, err := hospital.Write(ctx, b.client.client, b.store, b.open()[0].UID, b.send, b.find, b.opts...)
	b.told = true
	var lost *hospital.Error
	if errors.As(err, &lost) && claimsNothing(err) && b.storedSome() {
		lost.Code = hospital.ErrOutcomeUnknown // that is so of the rest only
	}
	return origin, err
}

var nothingDone = []hospital.Code{
	hospital.ErrBusy, hospital.ErrDeadline, hospital.ErrCanceled, hospital.ErrNoToken, hospital.ErrInvalidArgument,
}

// claimsNothing: does the error say that nothing was executed?
func claimsNothing(err error) bool {
	return errors.Is(err, hospital.ErrUnavailable) || slices.Contains(nothingDone, hospital.CodeOf(err))
}

// storedSome: did this call bring an instance to the archive?
func (b *batching) storedSome() bool {
	return slices.ContainsFunc(b.items, func(it *item) bool { return it.Outcome == StoredNew || it.Outcome == StoredCoerced })
}

// open are the items of which it is not known yet what became.
func (b *batching) open() []*item {
	return undone(b.items)
}

// maxSendings bounds how often the rest of a batch is sent where that is harmless.
const maxSendings = 3

// send looks what is there and sends the rest. A server that is proved to take an
// instance once (campus.Contract.UpdateCreate) gets what is still missing at once;
// for another one the caller waits until a lost request has surely ended.
func (b *batching) send(ctx context.Context, _ *fhir.Client) (hospital.Origin, error) {
	var origin hospital.Origin
	for try := 1; ; try++ {
		if err := b.look(ctx); err != nil {
			return origin, err
		}
		rest := b.open()
		if len(rest) == 0 {
			return origin, b.verify(ctx)
		}
		var err error
		if origin, err = b.post(ctx, rest); err == nil {
			err = b.settle(ctx)
		}
		lost, unknown := dropSpoilt(rest), hospital.CodeOf(err) == hospital.ErrOutcomeUnknown
		switch {
		case err == nil:
			return origin, b.verify(ctx)
		case unknown && (!b.harmless() || slices.ContainsFunc(undone(rest), readOnce)):
			return origin, err
		case lost: // the others may do without it
			try--
		case !unknown || try == maxSendings:
			return origin, err
		}
	}
}

// readOnce: it cannot be sent again, so what became of it must be waited for.
func readOnce(it *item) bool { return it.forget != nil }

// dropSpoilt fails the files by whose fault a request was not sent whole.
func dropSpoilt(rest []*item) (some bool) {
	for _, it := range rest {
		if it.spoilt.Load() && !it.done {
			it.fail(hospital.Refuse(hospital.ErrInvalidArgument, "the file could not be read to the end it had, or not once more"))
			some = true
		}
	}
	return some
}

// find: the act is done when all are there.
func (b *batching) find(ctx context.Context, _ *fhir.Client) (hospital.Origin, error) {
	if err := b.look(ctx); err != nil {
		return hospital.Origin{}, err
	}
	if len(b.open()) > 0 {
		return hospital.Origin{}, hospital.ErrNotFound
	}
	for _, it := range b.items {
		if b.told && it.UID != "" && it.Err != nil { // it has no other way to be told
			return hospital.Origin{}, it.Err
		}
	}
	return hospital.Origin{}, b.verify(ctx)
}

// harmless: nobody who may take the write would make two of one instance.
func (b *batching) harmless() bool {
	for _, e := range b.client.client.Topology().Endpoints() {
		if e.System == campus.PACS && e.Writes() && !e.Contract.UpdateCreate {
			return false
		}
	}
	return true
}

// look asks which of the items the archive has, and compares them with the files: what
// is there after a lost request may be half of it, or another's.
func (b *batching) look(ctx context.Context) error {
	first := !b.seen
	there := map[string]map[string]bool{} // by series
	for _, it := range b.open() {
		list, known := there[it.Study+" "+it.Series]
		if !known {
			var err error
			if list, err = b.stored(ctx, it.Study, it.Series); err != nil {
				return err
			}
			there[it.Study+" "+it.Series] = list
		}
		if !list[it.UID] {
			continue
		}
		same := it.same()
		if !first && !it.doubtful() {
			same = StoredNew
		}
		switch err := b.compare(ctx, it, same); {
		case hospital.CodeOf(err) == hospital.ErrNotFound:
			it.fail(hospital.Refuse(hospital.ErrUnexpectedAnswer, "the archive lists the instance and does not have it"))
		case err != nil:
			return err
		case !first && hospital.CodeOf(it.Err) == hospital.ErrInvalidArgument: // it was sent
			it.fail(hospital.Refuse(hospital.ErrOutcomeUnknown, "the archive lists the instance, and the file cannot be read once more to compare it"))
		}
	}
	b.seen = true
	return nil
}

// stored are the instances of a series that the archive has.
func (b *batching) stored(ctx context.Context, study, series string) (map[string]bool, error) {
	out := map[string]bool{}
	for found, err := range b.client.instances(ctx, study, series) {
		if hospital.CodeOf(err) == hospital.ErrNotFound {
			return out, b.absent(ctx, study, series)
		}
		if err != nil {
			return nil, err
		}
		out[found.Resource.UID] = true
	}
	return out, nil
}

// absent: a 404 to a list may mean that there is no such series, or that the archive does
// not know the request, and then nobody knows what it has.
func (b *batching) absent(ctx context.Context, study, series string) error {
	q := dicomweb.Search{Matches: []dicomweb.Match{{Tag: dicomweb.TagStudyInstanceUID, Value: study}}}
	for _, err := range b.client.search(ctx, "search studies", "/studies", q, dicomweb.TagStudyInstanceUID) {
		if err != nil {
			return err
		}
		for found, err := range b.client.series(ctx, study) {
			if err != nil && hospital.CodeOf(err) != hospital.ErrNotFound {
				return err
			}
			if err != nil || found.Resource.UID == series {
				return hospital.Refuse(hospital.ErrUnexpectedAnswer, "the archive does not list the instances of a series")
			}
		}
		return nil
	}
	return nil
}

// post sends the rest, as long as it is asked for less.
func (b *batching) post(ctx context.Context, rest []*item) (hospital.Origin, error) {
	sources := make([]dicomweb.Source, len(rest))
	for i, it := range rest {
		sources[i] = dicomweb.Source{Size: it.Size, Open: it.openOnce}
	}
	upload := dicomweb.NewUpload(sources)
	resp, err := b.client.put(ctx, b.Study, upload)
	if err != nil {
		return hospital.Origin{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestEntityTooLarge {
		return b.halves(ctx, rest)
	}
	return originOf(resp), b.read(ctx, resp, rest)
}

// halves sends less at once, where the archive takes no more. It may have stored what
// came before it was too much.
func (b *batching) halves(ctx context.Context, rest []*item) (hospital.Origin, error) {
	alone := len(rest) == 1
	rest = b.leftOut(ctx, rest)
	switch {
	case len(rest) == 0:
		return hospital.Origin{}, nil
	case alone:
		rest[0].fail(hospital.Refuse(hospital.ErrTooLarge, "the archive does not take files of this size"))
		return hospital.Origin{}, nil
	}
	half := (len(rest) + 1) / 2
	if origin, err := b.post(ctx, rest[:half]); err != nil || half == len(rest) {
		return origin, err
	}
	if rest = undone(rest[half:]); len(rest) == 0 { // a look has found them meanwhile
		return hospital.Origin{}, nil
	}
	return b.post(ctx, rest)
}

func undone(items []*item) []*item {
	return slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.done })
}

// put is the request. The engine sends it elsewhere only if nothing of it was executed:
// what of a lost one arrived is looked up first.
func (c *Client) put(ctx context.Context, study string, upload *dicomweb.Upload) (*http.Response, error) {
	path := "/studies"
	if study != "" {
		path = dicomweb.Path(study, "", "")
	}
	body, err := upload.Open()
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: path}, Body: body, GetBody: upload.Open, ContentLength: upload.Length(),
		Header: http.Header{"Accept": {acceptJSON}, "Content-Type": {upload.ContentType()}},
	}
	return c.client.Exchange(ctx, hospital.Exchange{
		Template: "store", Repeat: hospital.Unsafe, Class: hospital.Bulk, Upload: true, Classify: classifyStore,
	}, req)
}

// classifyStore: an answer that lists instances is one at 400 and 409 too, whatever its
// Content-Type says.
func classifyStore(call *failover.Call, resp *http.Response, body []byte) failover.Verdict {
	v := failover.ClassifyHTTP(call, resp, body)
	var said Dataset
	switch listed := said.UnmarshalJSON(body) == nil && listsInstances(said); {
	case v.Outcome == failover.Committed && !listed: // a gateway's success, or nobody's
		return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultForeign}
	case v.Outcome == failover.Rejected && listed:
		return failover.Verdict{Outcome: failover.Committed}
	}
	return v
}

func listsInstances(d Dataset) bool {
	_, stored := d[dicomweb.TagReferencedSOPSequence]
	_, failed := d[dicomweb.TagFailedSOPSequence]
	return stored || failed
}

// read takes from the answer what became of each. What it does not name is not stored,
// until a look shows otherwise.
func (b *batching) read(ctx context.Context, resp *http.Response, rest []*item) error {
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var said Dataset
	if listed := said.UnmarshalJSON(data) == nil && listsInstances(said); !listed {
		b.unlisted(ctx, rest, resp.StatusCode)
		return nil
	}
	stored := byUID(said.Items(dicomweb.TagReferencedSOPSequence))
	failed := byUID(said.Items(dicomweb.TagFailedSOPSequence))
	for _, it := range rest {
		if d, ok := failed[it.UID]; ok {
			it.Reason = reason(d, dicomweb.TagFailureReason)
			it.fail(hospital.Refuse(hospital.ErrRefused, "the archive refused the instance; see Stored.Reason"))
			continue
		}
		d, ok := stored[it.UID]
		if !ok {
			it.fail(errUnnamed)
			continue
		}
		switch it.Reason = reason(d, dicomweb.TagWarningReason); {
		case it.wasThere():
			it.fail(errUnnamed)
		case it.Reason != 0:
			it.succeed(StoredCoerced)
		default:
			it.succeed(StoredNew)
		}
	}
	return nil
}

// unlisted takes an answer that refuses and names nobody.
func (b *batching) unlisted(ctx context.Context, rest []*item, status int) {
	why := refused(status)
	switch hospital.CodeOf(why) {
	case hospital.ErrForbidden:
	case hospital.ErrConflict: // of no instance it says that another is there
		why = &hospital.Error{Code: hospital.ErrRefused, Status: status}
		fallthrough
	default:
		rest = b.leftOut(ctx, rest)
	}
	for _, it := range rest {
		it.fail(why)
	}
}

// leftOut are those that an archive that refused has not kept before it did.
func (b *batching) leftOut(ctx context.Context, rest []*item) []*item {
	if b.look(ctx) != nil {
		for _, it := range undone(rest) {
			it.fail(hospital.Refuse(hospital.ErrOutcomeUnknown, "the archive refused it, may have kept it, and cannot be asked"))
		}
	}
	return undone(rest)
}

var errUnnamed = hospital.Refuse(hospital.ErrRefused, "the archive does not say that it stored the instance")

func byUID(items []Dataset) map[string]Dataset {
	out := map[string]Dataset{}
	for _, d := range items {
		out[d.Text(dicomweb.TagReferencedSOPInstanceUID)] = d
	}
	return out
}

func reason(d Dataset, tag Tag) uint16 {
	n, _ := d.Int(tag)
	return uint16(max(0, min(n, 0xffff)))
}

// Reasons that say that the instance, or another of its UID, is there already.
const (
	duplicateInstance = 0x0111
	alreadyStored     = 0xB00E
)

func (it *item) wasThere() bool { return it.Reason == duplicateInstance || it.Reason == alreadyStored }

func (it *item) doubtful() bool { return it.wasThere() || errors.Is(it.Err, errUnnamed) }

// same is what it means that the archive has these very bytes.
func (it *item) same() StoreOutcome {
	if errors.Is(it.Err, errUnnamed) && !it.wasThere() {
		return StoredNew
	}
	return StoredBefore
}
