package lis

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
	"github.com/hospital-go/hospital/internal/verb"
)

// DefaultOverlap is for how long a feed looks back.
const DefaultOverlap = 5 * time.Minute

// FeedQuery says where a feed goes on.
type FeedQuery struct {
	// From is the Position of the last page; "" begins at Since.
	From Position
	// Since is where to begin without a Position, and again when the one given is of
	// another store, or of the time before an earlier point was restored. Required.
	Since time.Time
	// Overlap is how long a change is looked for again after its time: at least the
	// servers' and our clocks' skew, the servers' longest transaction and the lag
	// together. Zero or less means [DefaultOverlap].
	Overlap time.Duration
}

// Changes is one page of a feed.
type Changes[T r4.Resource] struct {
	// List in the order of the server's time, and so in order per patient. What became
	// visible late, within the overlap, comes late.
	List []Change[T]
	// Position to store once List has been dealt with, and to go on from.
	Position Position
	// Restarted says that the feed began again at Since, because ids and versions of
	// before may have been issued again: forget what was derived from them. It is set on
	// the first page after that, whose List may be empty.
	Restarted bool
}

// Change is one new or changed resource, in its current version.
type Change[T r4.Resource] struct {
	hospital.Found[T]
	// Withdrawn says that it was entered in error: only what names it is there, and
	// whatever was taken from it before must not be used.
	Withdrawn bool
}

// ReportChanges (报告变更流) yields what changed among the laboratory's reports, of all
// patients, page by page until it is up to date; the caller asks again after a while.
// A change comes at least once: again after a crash between its page and the storing of
// Position, after a page that is Restarted, and where more than 20,000 lie within the
// overlap. One that is overtaken by the next is not seen, nor are deletions. The reports
// come without their members: [Client.Complete] fetches them.
//
// hospital.ErrInvalidArgument without Since, and for the Position of another feed;
// hospital.ErrFilterIgnored when the server does not sort, or sends what does not belong to
// the feed; hospital.ErrStale when it sends an older version than this client has shown. The
// Position that was stored last holds after any of them.
func (c *Client) ReportChanges(ctx context.Context, q FeedQuery, opts ...hospital.ReadOption) iter.Seq2[Changes[*r4.DiagnosticReport], error] {
	return follow(ctx, c, "ReportChanges", q, feedOf[*r4.DiagnosticReport]{
		Kind:     report.Headers(),
		category: fhir.DiagnosticReportCategory.Is(c.categories.Section.System, c.categories.Section.Code),
		holds:    func(r *r4.DiagnosticReport) bool { return verb.InCategory(r.Category, c.categories.Section) },
	}, opts)
}

// ResultChanges (结果变更流) is [Client.ReportChanges] for single laboratory results, with
// its errors (hospital.ErrStale) and a Position of its own.
func (c *Client) ResultChanges(ctx context.Context, q FeedQuery, opts ...hospital.ReadOption) iter.Seq2[Changes[*r4.Observation], error] {
	return follow(ctx, c, "ResultChanges", q, feedOf[*r4.Observation]{
		Kind:     report.Observations(),
		category: fhir.ObservationCategory.Is(c.categories.Result.System, c.categories.Result.Code),
		holds:    func(o *r4.Observation) bool { return verb.InCategory(o.Category, c.categories.Result) },
	}, opts)
}

// feedOf is what is followed.
type feedOf[T r4.Resource] struct {
	report.Kind[T]
	category fhir.Filter[T]
	holds    func(T) bool
}

// feed is one way through a feed, from a Position until it is up to date.
//
// It does not follow the pages of one search from end to end: what is changed meanwhile
// moves to its end, and servers that count pages by number then skip others; servers
// that read what they found a moment later show a new time in an old place. So what is
// older than the overlap is told apart: it surely stands where it was found, and once
// some has come the search begins again from there. What is younger is taken to the
// end, again and again until nothing new comes, and is looked at again by the next call.
type feed[T r4.Resource] struct {
	feedOf[T]
	client    *Client
	f         *fhir.Client
	query     FeedQuery
	place     place
	confined  bool // to the store that place names
	restarted bool
	torn      int // looks in a row that brought nothing and were not whole
	crowd     crowd
	yield     func(Changes[T], error) bool
}

// crowd is what a look has shown of a moment that fills more than a page, and how far it
// came. If the next look shows all of it again, nothing had moved up between its pages.
type crowd struct {
	shown map[string]bool
	until time.Time
	looks int
}

// maxLooks bounds the looks at one moment that differ, as of a server without an order.
const maxLooks = 8

// sure notes a crowd and reports whether the one before is all in it, and until when then
// nothing is missing.
func (c *crowd) sure(now crowd) (time.Time, bool) {
	before := *c
	*c = now
	c.looks = before.looks + 1
	for d := range before.shown {
		if !now.shown[d] {
			return time.Time{}, false
		}
	}
	return before.until, before.shown != nil
}

func follow[T r4.Resource](ctx context.Context, c *Client, name string, q FeedQuery, of feedOf[T], opts []hospital.ReadOption) iter.Seq2[Changes[T], error] {
	if q.Overlap <= 0 {
		q.Overlap = DefaultOverlap
	}
	return hospital.Stream(ctx, c.client, ops().Read(name, hospital.Strong, hospital.List), func(ctx context.Context, f *fhir.Client) iter.Seq2[Changes[T], error] {
		return func(yield func(Changes[T], error) bool) {
			w := &feed[T]{feedOf: of, client: c, f: f, query: q, yield: yield}
			if err := w.run(ctx); err != nil && !errors.Is(err, errEnough) {
				yield(Changes[T]{}, err)
			}
		}
	}, opts...)
}

func (w *feed[T]) run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	for more := true; more; {
		var err error
		if more, err = w.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *feed[T]) begin() (err error) {
	switch {
	case w.query.Since.IsZero():
		return hospital.Refuse(hospital.ErrInvalidArgument, "a feed needs a time to begin at")
	case w.query.From == "":
		w.reset()
		return nil
	}
	var none T
	w.place, err = w.query.From.read(none.ResourceType())
	return err
}

func (w *feed[T]) reset() {
	var none T
	w.place = place{Type: none.ResourceType(), Since: w.query.Since, Recent: map[string]int64{}}
}

// feedPage is how many changes are asked for at once.
const feedPage = 100

// look makes one search from where the feed is and reports whether there may be more.
func (w *feed[T]) look(ctx context.Context) (more bool, err error) {
	if w.confined {
		ctx = hospital.SameStore(ctx, hospital.Origin{System: campus.LIS, Store: w.place.Store, Epoch: w.place.Epoch})
	}
	settled := time.Now().Add(-w.query.Overlap)
	updated := fhir.LastUpdated[T]()
	q := fhir.For(w.category, updated.From(w.place.Since), fhir.Oldest(updated), fhir.Count[T](feedPage))
	var young []Change[T]
	last := w.place.Since.Truncate(time.Millisecond) // as servers keep it
	shown, pages := map[string]bool{}, 0
	for page, err := range fhir.Search(ctx, w.f, q) {
		if errors.Is(err, fhir.ErrIncomplete) && w.mayBeTorn(more) {
			return true, w.tellInOrder(young)
		}
		if err != nil {
			return false, verb.NoRoute(err)
		}
		origin := hospital.OriginOf(page.Response)
		if !w.at(origin) {
			return true, nil // begin again
		}
		items, err := w.check(page)
		if err != nil {
			return false, err
		}
		old := slices.DeleteFunc(slices.Clone(items), func(r T) bool { return !verb.Updated(r).Before(settled) })
		for _, r := range old {
			if verb.Updated(r).Before(last) {
				return false, hospital.ErrFilterIgnored // not sorted, which would lose some
			}
			if last = verb.Updated(r); !last.After(w.place.Since) { // of the moment itself: what comes behind it may come in any order
				shown[digest(r)] = true
			}
		}
		pages++
		goesOn := last.After(w.place.Since)
		if goesOn {
			items = old
			if err := w.pass(last, pages, shown); err != nil {
				return false, err
			}
		}
		list, err := w.fresh(ctx, origin, items)
		if err != nil || goesOn {
			return goesOn, cmp.Or(err, w.tell(append(young, list...))) // young: of the one moment that the pages before were full of
		}
		more = more || len(list) > 0
		if young = append(young, list...); len(young) >= maxYoung { // such as a migration's, all of one moment
			if err := w.tellInOrder(young); err != nil {
				return false, err
			}
			young = nil
		}
	}
	return more, w.tellInOrder(young)
}

// pass moves Since to last. Where the moment before filled more than a page, what moved up
// between the pages may be missing, so that it waits for a look that shows all of it again.
func (w *feed[T]) pass(last time.Time, pages int, shown map[string]bool) error {
	until, sure := last, pages == 1
	if !sure {
		until, sure = w.crowd.sure(crowd{shown: shown, until: last})
	}
	switch {
	case sure:
		w.place.Since, w.crowd = until, crowd{}
	case w.crowd.looks == maxLooks:
		return hospital.ErrPageLost
	}
	return nil
}

// maxTorn bounds the looks in a row that bring nothing and are not whole.
const maxTorn = 3

// mayBeTorn: a page less than was counted is no fault of the server's where something
// was changed meanwhile: it moved to the end, and others to pages that were read. They
// come with the next look.
func (w *feed[T]) mayBeTorn(progress bool) bool {
	if w.torn++; progress {
		w.torn = 0
	}
	return w.torn < maxTorn
}

// maxYoung bounds how many changes are put in order at once.
const maxYoung = 1000

func (w *feed[T]) tellInOrder(list []Change[T]) error {
	slices.SortStableFunc(list, func(a, b Change[T]) int { return verb.Updated(a.Resource).Compare(verb.Updated(b.Resource)) })
	return w.tell(list)
}

// at: is this the store of the Position? One without a store takes the first; another
// makes the feed begin again.
func (w *feed[T]) at(o hospital.Origin) bool {
	same := w.place.Store == o.Store && w.place.Epoch == o.Epoch
	again := w.place.Store != "" && !same
	if again {
		w.reset()
		w.restarted = true
	}
	w.place.Store, w.place.Epoch, w.confined = o.Store, o.Epoch, true
	return !again
}

// check takes a page's items; each must be of the feed and have a time within it.
func (w *feed[T]) check(page *fhir.Page) ([]T, error) {
	out := make([]T, len(page.Matches))
	for i, r := range page.Matches {
		item, err := r4.As[T](r)
		if err != nil || !w.holds(item) || verb.Updated(r).IsZero() || verb.Updated(r).Before(w.place.Since.Truncate(time.Millisecond)) {
			return nil, hospital.ErrFilterIgnored
		}
		out[i] = item
	}
	return out, nil
}

// fresh are those of the items that did not come before.
func (w *feed[T]) fresh(ctx context.Context, origin hospital.Origin, items []T) ([]Change[T], error) {
	var out []Change[T]
	for _, item := range items {
		if !w.place.add(item, verb.Updated(item)) {
			continue
		}
		if w.client.reports.Take(origin, item, !w.InError(item)) {
			return nil, hospital.ErrStale
		}
		verb.Concerns(ctx, w.client.client, origin, w.Subject(item))
		change := Change[T]{Found: hospital.Found[T]{Resource: item, Origin: origin}, Withdrawn: w.InError(item)}
		if change.Withdrawn {
			change.Resource = w.Stripped(item)
		}
		out = append(out, change)
	}
	return out, nil
}

// errEnough: the caller has left the loop.
var errEnough = errors.New("enough")

// tell yields what is new, and that the feed began again.
func (w *feed[T]) tell(list []Change[T]) error {
	if len(list) == 0 && !w.restarted {
		return nil
	}
	w.place.forget(w.place.Since.UnixMilli())
	out := Changes[T]{List: list, Position: w.place.position(), Restarted: w.restarted}
	w.restarted = false
	if !w.yield(out, nil) {
		return errEnough
	}
	return nil
}
