// Command imagefetch finds a patient's studies at all campuses of the group and
// downloads one, with nothing to install: an embedded hospital whose campuses have
// archives of their own. On the way a data centre is lost; the study arrives whole all
// the same, is compared byte by byte with what the hospital has, and is written as
// DICOM files, with a PNG of one image.
//
//	go run ./examples/imagefetch
//	go run ./examples/imagefetch -out images     # keep the files
//	go run ./examples/imagefetch -json
//	go run ./examples/imagefetch -config hospital.yaml -patient 'ISSUER|VALUE' -out images
//	go run ./examples/imagefetch -config hospital.yaml -patient 'ISSUER|VALUE' -study UID -out images
//
// With -config it asks a real hospital and loses nothing on purpose. It exits with 1 if
// an instance is missing or other than the hospital's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
)

func main() {
	var o options
	patient := ""
	flag.BoolVar(&o.json, "json", false, "print one JSON object instead of the story")
	flag.StringVar(&o.out, "out", "", "folder for the files; without it they are checked and thrown away")
	flag.StringVar(&o.config, "config", "", "hospital.yaml of a real hospital; needs -patient and -out")
	flag.StringVar(&patient, "patient", "", "ISSUER|VALUE of the patient, for -config")
	flag.StringVar(&o.study, "study", "", "Study Instance UID; without it the study with the most images")
	flag.Parse()
	o.patient.Issuer, o.patient.Value, _ = strings.Cut(patient, "|")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "imagefetch:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

type options struct {
	json               bool
	out, config, study string
	patient            campus.PatientID
}

func (o options) check() error {
	switch {
	case o.config == "" && o.patient != (campus.PatientID{}):
		return errors.New("-patient goes with -config; the embedded hospital has its own")
	case o.config != "" && (o.patient.Validate() != nil || o.out == ""):
		return errors.New("-config needs -patient ISSUER|VALUE and -out FOLDER")
	}
	return nil
}

// summary is what -json prints.
type summary struct {
	Studies   int                         `json:"studies"`
	Campuses  map[campus.ID]int           `json:"campuses"` // studies by campus
	NotAsked  []campus.ID                 `json:"not_asked,omitempty"`
	Failed    []campus.ID                 `json:"failed,omitempty"`
	Listed    int                         `json:"listed"`    // instances of the study that was fetched
	Instances int                         `json:"instances"` // that came
	Bytes     int64                       `json:"bytes"`
	From      map[campus.DataCenterID]int `json:"from"` // instances by where their end came from
	Different int                         `json:"different"`
	PNG       int                         `json:"png_bytes"`
}

var errPromise = errors.New("an instance is missing or not what the hospital has")

func run(ctx context.Context, out io.Writer, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	story := out
	if o.json {
		story = io.Discard
	}
	f, err := begin(story, o)
	if err != nil {
		return err
	}
	defer f.close()
	s, err := f.run(ctx)
	if o.json && s != nil {
		data, jsonErr := json.Marshal(s)
		if jsonErr != nil {
			return jsonErr
		}
		fmt.Fprintln(out, string(data))
	}
	switch {
	case err != nil:
		return err
	case s.Instances < s.Listed || s.Different > 0:
		return errPromise
	}
	return nil
}

// open opens a client: of a real hospital, or of the embedded one.
func open(o options, stage *stage) (*hospital.Client, error) {
	if o.config == "" {
		return hospital.New(stage.config())
	}
	cfg, err := hospital.LoadConfig(o.config)
	if err != nil {
		return nil, err
	}
	return hospital.New(cfg)
}
