package pacs

import (
	"context"
	"iter"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/verb"
)

// Series is one series of a study.
type Series struct {
	// UID is the Series Instance UID.
	UID string
	// Study is its study's UID.
	Study string
	// Number is the Series Number, "" where it has none.
	Number      string
	Modality    string
	Description string
	// Instances is how many it has, 0 where the archive does not say.
	Instances int
	// Dataset is all that was sent.
	Dataset Dataset
}

// InstanceInfo is one instance as an archive lists it.
type InstanceInfo struct {
	// UID is the SOP Instance UID.
	UID string
	// Series and Study are those that it belongs to.
	Series, Study string
	// SOPClass says what kind of thing it is (PS3.4 annex B.5).
	SOPClass string
	// Number is the Instance Number, "" where it has none.
	Number string
	// Frames is how many images it has, 0 where the archive does not say.
	Frames int
	// Dataset is all that was sent.
	Dataset Dataset
}

// Series (序列) yields the series of a study. A study that the archive does not have is
// hospital.ErrNotFound.
func (c *Client) Series(ctx context.Context, study string, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Series], error] {
	return listing(ctx, c, "Series", study, "", func(ctx context.Context) iter.Seq2[hospital.Found[Series], error] { return c.series(ctx, study) }, opts)
}

// Instances (影像实例) yields the instances of a study, or of one of its series where
// series is not empty. hospital.ErrNotFound when there is none.
func (c *Client) Instances(ctx context.Context, study, series string, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[InstanceInfo], error] {
	return listing(ctx, c, "Instances", study, series, func(ctx context.Context) iter.Seq2[hospital.Found[InstanceInfo], error] {
		return c.instances(ctx, study, series)
	}, opts)
}

// listing runs a search below a study; nothing in it means that there is no such study.
func listing[T any](ctx context.Context, c *Client, name, study, series string, list func(context.Context) iter.Seq2[hospital.Found[T], error], opts []hospital.ReadOption) iter.Seq2[hospital.Found[T], error] {
	return hospital.Stream(ctx, c.client, op(name, hospital.List), func(ctx context.Context, _ *fhir.Client) iter.Seq2[hospital.Found[T], error] {
		if err := checkUIDs(study, series, ""); err != nil {
			return verb.Fail[T](err)
		}
		return some(list(ctx))
	}, opts...)
}

// some is hospital.ErrNotFound for a sequence of nothing.
func some[T any](items iter.Seq2[hospital.Found[T], error]) iter.Seq2[hospital.Found[T], error] {
	return func(yield func(hospital.Found[T], error) bool) {
		none := true
		for item, err := range items {
			none = false
			if !yield(item, err) {
				return
			}
		}
		if none {
			yield(hospital.Found[T]{}, hospital.ErrNotFound)
		}
	}
}

// checkUIDs refuses what is no UID before it gets into a path.
func checkUIDs(study, series, instance string) error {
	if !dicomweb.ValidUID(study) || (series != "" && !dicomweb.ValidUID(series)) || (instance != "" && (series == "" || !dicomweb.ValidUID(instance))) {
		return hospital.Refuse(hospital.ErrInvalidArgument, "a Study Instance UID is needed, and those of series and instance where they are given, an instance's with its series'")
	}
	return nil
}

func (c *Client) series(ctx context.Context, study string) iter.Seq2[hospital.Found[Series], error] {
	s := dicomweb.Search{Include: []Tag{
		dicomweb.TagSeriesDescription, dicomweb.TagNumberOfSeriesRelatedInstances, dicomweb.TagPatientID, dicomweb.TagIssuerOfPatientID, // whose: see paging.fresh
	}}
	found := c.search(ctx, "search series", dicomweb.Path(study, "", "")+"/series", s, dicomweb.TagSeriesInstanceUID)
	return mapped(found, func(d Dataset) (Series, error) {
		out := Series{
			UID: d.Text(dicomweb.TagSeriesInstanceUID), Study: study, Number: d.Text(dicomweb.TagSeriesNumber),
			Modality: d.Text(dicomweb.TagModality), Description: d.Text(dicomweb.TagSeriesDescription), Dataset: d,
		}
		out.Instances, _ = d.Int(dicomweb.TagNumberOfSeriesRelatedInstances)
		return out, within(d, study, "")
	})
}

func (c *Client) instances(ctx context.Context, study, series string) iter.Seq2[hospital.Found[InstanceInfo], error] {
	found := c.search(ctx, "search instances", dicomweb.Path(study, series, "")+"/instances", dicomweb.Search{Include: []Tag{dicomweb.TagPatientID, dicomweb.TagIssuerOfPatientID}}, dicomweb.TagSOPInstanceUID)
	return mapped(found, func(d Dataset) (InstanceInfo, error) {
		out := InstanceInfo{
			UID: d.Text(dicomweb.TagSOPInstanceUID), Series: d.Text(dicomweb.TagSeriesInstanceUID), Study: study,
			SOPClass: d.Text(dicomweb.TagSOPClassUID), Number: d.Text(dicomweb.TagInstanceNumber), Dataset: d,
		}
		if out.Series == "" {
			out.Series = series
		}
		out.Frames, _ = d.Int(dicomweb.TagNumberOfFrames)
		return out, within(d, study, series)
	})
}

// within: what came is of the study and series that were asked for. Below a path
// that names them a server may leave them out.
func within(d Dataset, study, series string) error {
	ofStudy, ofSeries := d.Text(dicomweb.TagStudyInstanceUID), d.Text(dicomweb.TagSeriesInstanceUID)
	if (ofStudy != "" && ofStudy != study) || (series != "" && ofSeries != "" && ofSeries != series) {
		return hospital.ErrFilterIgnored
	}
	return nil
}

func mapped[T any](found iter.Seq2[hospital.Found[Dataset], error], f func(Dataset) (T, error)) iter.Seq2[hospital.Found[T], error] {
	return func(yield func(hospital.Found[T], error) bool) {
		for d, err := range found {
			out := hospital.Found[T]{Origin: d.Origin}
			if err == nil {
				out.Resource, err = f(d.Resource)
			}
			if err != nil {
				yield(hospital.Found[T]{}, err)
				return
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}
