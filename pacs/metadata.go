package pacs

import (
	"context"
	"iter"
	"maps"
	"net/http"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/verb"
)

// Metadata (影像元数据) yields the attributes of the instances of a study, of one of its
// series or of one instance, without their bulk data (PS3.18 section 10.4.1.1.2), one
// data set at a time. An answer that is cut is asked for again elsewhere, and what was
// shown is not shown twice; after four answers that broke off it is hospital.ErrIncomplete.
// hospital.ErrNotFound when there is no such study, series or instance. Instances of another
// study are hospital.ErrUnexpectedAnswer.
// Numbers are as the archive writes them in JSON, which may not be as in the file.
func (c *Client) Metadata(ctx context.Context, study, series, instance string, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Dataset], error] {
	return hospital.Stream(ctx, c.client, op("Metadata", hospital.Bulk), func(ctx context.Context, _ *fhir.Client) iter.Seq2[hospital.Found[Dataset], error] {
		if err := checkUIDs(study, series, instance); err != nil {
			return verb.Fail[Dataset](err)
		}
		m := &metadata{client: c, study: study, series: series, instance: instance, shown: map[string]bool{}}
		return m.all(ctx)
	}, opts...)
}

// metadata is the progress of a Metadata.
type metadata struct {
	client                  *Client
	study, series, instance string
	shown                   map[string]bool
	named                   bool   // the list says whose they are, and that it is one patient
	patient                 person // else they do
	over                    bool   // nobody wants more
}

func (m *metadata) all(ctx context.Context) iter.Seq2[hospital.Found[Dataset], error] {
	return func(yield func(hospital.Found[Dataset], error) bool) {
		d := &download{client: m.client, Retrieval: Retrieval{Study: m.study, Series: m.series, Instance: m.instance}, left: map[string]ref{}, came: m.shown}
		err := d.list(ctx)
		m.named = d.named
		var again error
		for tries, broke := 0, err == nil; broke && tries < maxTries; tries++ {
			broke, again, err = m.try(ctx, again, yield)
		}
		if err == nil && !m.over { // a site may have fewer than another has listed
			maps.DeleteFunc(d.left, func(uid string, _ ref) bool { return m.shown[uid] })
			err = d.missing(d.listed, hospital.ErrIncomplete)
		}
		if err != nil {
			yield(hospital.Found[Dataset]{}, settled(err))
		}
	}
}

// try asks once. broke says that the answer broke off, so that it may be tried again.
func (m *metadata) try(ctx context.Context, again error, yield func(hospital.Found[Dataset], error) bool) (broke bool, next, err error) {
	resp, err := m.client.ask(ctx, asking{
		template: "retrieve metadata", path: dicomweb.Path(m.study, m.series, m.instance) + "/metadata", accept: acceptJSON,
		class: hospital.Bulk, stream: true, fits: isJSON, again: again,
	})
	if err != nil {
		return false, nil, err
	}
	defer resp.Body.Close()
	more, err := m.show(resp, yield)
	broke, next = cut(resp, err)
	if err == nil && more && len(m.shown) == 0 {
		err = hospital.ErrNotFound
	}
	return broke, next, err
}

// maxInstances bounds the instances of one study.
const maxInstances = maxPages * pageSize

// show yields what comes and was not shown yet; more is false when nobody wants more.
func (m *metadata) show(resp *http.Response, yield func(hospital.Found[Dataset], error) bool) (more bool, err error) {
	origin := originOf(resp)
	for d, err := range dicomweb.DecodeArray(resp.Body, maxElement, maxInstances) {
		if err != nil {
			return true, err
		}
		uid := d.Text(dicomweb.TagSOPInstanceUID)
		switch {
		case !m.meant(d, uid):
			return true, hospital.Refuse(hospital.ErrUnexpectedAnswer, "an instance of another study or series")
		case !m.named && !m.patient.same(whoseIs(d)):
			return true, errTwoPatients
		case m.shown[uid]:
			continue
		}
		m.shown[uid] = true
		if !yield(hospital.Found[Dataset]{Resource: d, Origin: origin}, nil) {
			m.over = true
			return false, nil
		}
	}
	return true, nil
}

func (m *metadata) meant(d Dataset, uid string) bool {
	return dicomweb.ValidUID(uid) && d.Text(dicomweb.TagStudyInstanceUID) == m.study && within(d, m.study, m.series) == nil &&
		(m.instance == "" || uid == m.instance)
}
