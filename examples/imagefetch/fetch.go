package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

// fetch is one run.
type fetch struct {
	options
	story  io.Writer
	stage  *stage // nil: a real hospital
	client *hospital.Client
	pacs   *pacs.Client
	folder *os.Root            // nil: the files are thrown away
	home   campus.DataCenterID // of the study's campus
	shown  int                 // of the progress bar
	sum    summary
}

func begin(story io.Writer, o options) (*fetch, error) {
	f := &fetch{options: o, story: story, sum: summary{Campuses: map[campus.ID]int{}, From: map[campus.DataCenterID]int{}}}
	var err error
	if o.config == "" {
		if f.stage, err = raise(); err != nil {
			return nil, err
		}
		f.patient = f.stage.here
	}
	if f.client, err = open(o, f.stage); err != nil {
		return nil, err
	}
	f.pacs = pacs.New(f.client)
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o700); err != nil {
			return nil, err
		}
		if f.folder, err = os.OpenRoot(o.out); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *fetch) close() {
	_ = f.client.Close()
	if f.folder != nil {
		_ = f.folder.Close()
	}
	if f.stage != nil {
		_ = f.stage.hosp.Close()
	}
}

func (f *fetch) run(ctx context.Context) (*summary, error) {
	if f.stage != nil {
		if err := f.stage.link(ctx, f.client); err != nil {
			return nil, err
		}
	}
	found, err := f.find(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := f.choose(found)
	if err != nil {
		return nil, err
	}
	last, err := f.download(ctx, chosen)
	if err != nil {
		return &f.sum, err
	}
	return &f.sum, f.render(ctx, chosen, last)
}

// find lists the patient's studies at all campuses.
func (f *fetch) find(ctx context.Context) ([]hospital.Found[pacs.Study], error) {
	fmt.Fprintln(f.story, "studies at all campuses of the legal entity:")
	var out []hospital.Found[pacs.Study]
	for s, err := range f.pacs.Studies(ctx, pacs.StudyQuery{Patient: f.patient}, hospital.AcrossCampuses()) {
		var partial *hospital.PartialError
		if errors.As(err, &partial) { // what came is good, and what did not has a name
			f.sum.NotAsked, f.sum.Failed = partial.NotAsked, slices.Sorted(maps.Keys(partial.Failed))
			fmt.Fprintln(f.story, "  "+partial.Error())
			break
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		f.sum.Studies++
		f.sum.Campuses[s.Origin.Campus]++
		fmt.Fprintf(f.story, "  %s  %-8s %-4s %3d images  %s\n", s.Resource.Date, s.Origin.Campus, strings.Join(s.Resource.Modalities, "/"), s.Resource.Instances, s.Resource.Description)
	}
	return out, nil
}

// choose takes the one that was asked for, else the largest; of copies the fullest.
func (f *fetch) choose(found []hospital.Found[pacs.Study]) (hospital.Found[pacs.Study], error) {
	found = slices.DeleteFunc(found, func(s hospital.Found[pacs.Study]) bool { return f.study != "" && s.Resource.UID != f.study })
	if len(found) == 0 {
		return hospital.Found[pacs.Study]{}, hospital.ErrNotFound
	}
	return slices.MaxFunc(found, func(a, b hospital.Found[pacs.Study]) int { return a.Resource.Instances - b.Resource.Instances }), nil
}

// download fetches a study and returns its last instance.
func (f *fetch) download(ctx context.Context, study hospital.Found[pacs.Study]) (*pacs.Instance, error) {
	fmt.Fprintf(f.story, "\nfetching %q from campus %s\n", study.Resource.Description, study.Origin.Campus)
	f.home = study.Origin.DataCenter
	var last *pacs.Instance
	r := pacs.Retrieval{Study: study.Resource.UID, Parallel: 2, Progress: f.progress}
	for in, err := range f.pacs.Retrieve(ctx, r, hospital.AtCampus(study.Origin.Campus)) {
		if err != nil {
			return nil, err
		}
		if err := f.keep(in.Resource); err != nil {
			return nil, err
		}
		f.sum.From[in.Resource.Origin().DataCenter]++
		last = in.Resource
	}
	fmt.Fprintf(f.story, "\n%d of %d instances, %.1f MB, whole; %s\n", f.sum.Instances, f.sum.Listed, float64(f.sum.Bytes)/1e6, f.sources())
	return last, nil
}

func (f *fetch) sources() string {
	var parts []string
	for _, dc := range slices.Sorted(maps.Keys(f.sum.From)) {
		parts = append(parts, fmt.Sprintf("%d from %s", f.sum.From[dc], dc))
	}
	return strings.Join(parts, ", ")
}

// progress draws a bar, and loses a data centre on the way.
func (f *fetch) progress(p pacs.Progress) {
	f.sum.Listed, f.sum.Instances, f.sum.Bytes = p.Total, p.Instances, p.Bytes
	const width = 40
	done := width * p.Instances / max(1, p.Total)
	if done > f.shown || p.Instances == p.Total {
		f.shown = done
		fmt.Fprintf(f.story, "\r  [%s%s] %d/%d", strings.Repeat("#", done), strings.Repeat(".", width-done), p.Instances, p.Total)
	}
	if f.stage != nil && p.Instances >= p.Total/3 && !f.stage.lost {
		f.stage.lost = true
		fmt.Fprintf(f.story, "\n  data centre %s is lost\n", f.home)
		f.stage.lose(f.home)
	}
}

// keep writes an instance to its file, which gets its name once all of it is there.
func (f *fetch) keep(in *pacs.Instance) error {
	digest := sha256.New()
	var to io.Writer = digest
	name := in.UID + ".dcm"
	var file *os.File
	if f.folder != nil {
		var err error
		if file, err = f.folder.Create(name + ".part"); err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // once more where it was closed
		to = io.MultiWriter(file, digest)
	}
	if _, err := io.Copy(to, in); err != nil {
		return err
	}
	if file != nil { // a full disk may be told only here; then the file must not get its name
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return err
		}
		if err := f.folder.Rename(name+".part", name); err != nil {
			return err
		}
	}
	if f.stage == nil {
		return nil
	}
	same, err := f.stage.same(in.UID, digest.Sum(nil))
	if err == nil && !same {
		f.sum.Different++
	}
	return err
}

// render writes a PNG of an instance, where the archive makes one.
func (f *fetch) render(ctx context.Context, study hospital.Found[pacs.Study], in *pacs.Instance) error {
	image, err := f.pacs.Rendered(ctx, pacs.Rendering{Study: in.Study, Series: in.Series, Instance: in.UID}, hospital.AtCampus(study.Origin.Campus))
	if errors.Is(err, hospital.ErrRefused) {
		fmt.Fprintln(f.story, "the archive renders nothing")
		return nil
	}
	if err != nil {
		return err
	}
	f.sum.PNG = len(image.Resource.Data)
	fmt.Fprintf(f.story, "a PNG of the last one: %d bytes\n", f.sum.PNG)
	if f.folder == nil {
		return nil
	}
	return f.folder.WriteFile(in.UID+".png", image.Resource.Data, 0o600)
}
