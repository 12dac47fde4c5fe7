package hospital_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// The imaging verbs of the mark test. UIDs are marks too: they lead to a patient.

const (
	markStudy     = "2.25.77001122334455667788"
	markSeries    = "2.25.77001122334455667788.1"
	markInstance  = "2.25.77001122334455667788.1.1"
	markAccession = "MARKACC"
)

func init() { //nolint:gochecknoinits // a test's
	marks = append(marks, markStudy, markAccession)
	for name, verb := range markedImaging {
		markedVerbs[name] = verb
	}
}

// markedArchive puts a study of the marked patient into the PACS, and him into the RIS.
func markedArchive(t *testing.T, hosp *fakes.Hospital, d *markedDesk) {
	t.Helper()
	hosp.AddStudy("pacs", fakes.Study{
		UID: markStudy, Patient: d.id, Name: "Mark^Name=" + markName, BirthDate: "19311127", Accession: markAccession, AccessionIssuer: markIssuer,
		Date: "20260101", Description: markText,
		Series: []fakes.Series{{UID: markSeries, Modality: "CT", Description: markText, Instances: 1, SOPs: []string{markInstance}}},
	})
	_, _, err := fhir.Create(t.Context(), d.client.FHIR(campus.RIS), d.patient)
	require.NoError(t, err)
	d.images = pacs.New(d.client, pacs.WithSystems(pacs.Systems{Accession: markIssuer}),
		pacs.WithViewers(map[campus.DataCenterID]string{"dc-a": "https://viewer.test/{study}?t={token}"}),
		pacs.WithViewerToken(func(context.Context, string) (string, error) { return markToken, nil }))
	ct := r4.Coding{System: "http://dicom.nema.org/resources/ontology/DCM", Code: "CT"}
	d.room = first(t, d.images.Schedules(t.Context(), ct, d.demo.Start, d.demo.End))
	for slot, err := range d.images.FreeSlots(t.Context(), d.room, d.demo.Start, d.demo.End) {
		require.NoError(t, err)
		d.scans = append(d.scans, slot)
	}
}

var markedImaging = map[string]func(ctx context.Context, d *markedDesk) error{
	"pacs.Studies": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Studies(ctx, pacs.StudyQuery{
			Patient: d.id, Name: markName, Accession: pacs.Accession{Issuer: markIssuer, Value: markAccession}, Description: markText,
		}))
	},
	"pacs.Studies, across": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Studies(ctx, pacs.StudyQuery{Patient: d.id}, hospital.AcrossOrganizations(hospital.Treatment)))
	},
	"pacs.Studies, refused": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Studies(ctx, pacs.StudyQuery{Name: markName + `\`, UID: markName}))
	},
	"pacs.Series": func(ctx context.Context, d *markedDesk) error { return drain(d.images.Series(ctx, markStudy)) },
	"pacs.Instances": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Instances(ctx, markStudy, markSeries))
	},
	"pacs.Retrieve": func(ctx context.Context, d *markedDesk) error {
		for in, err := range d.images.Retrieve(ctx, pacs.Retrieval{Study: markStudy}) {
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, in.Resource); err != nil {
				return err
			}
		}
		return nil
	},
	"pacs.Metadata": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Metadata(ctx, markStudy, "", ""))
	},
	"pacs.Frames": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Frames(ctx, markStudy, markSeries, markInstance, []int{1}))
	},
	"pacs.BulkData": func(ctx context.Context, d *markedDesk) error {
		for in, err := range d.images.Metadata(ctx, markStudy, markSeries, markInstance) {
			if err != nil {
				return err
			}
			if err := drain(d.images.BulkData(ctx, in, in.Resource[0x7FE00010].BulkDataURI)); err != nil {
				return err
			}
			if err := drain(d.images.BulkData(ctx, in, "https://elsewhere.test/"+markStudy)); err != nil {
				return err
			}
		}
		return nil
	},
	"pacs.Rendered": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Rendered(ctx, pacs.Rendering{Study: markStudy, Series: markSeries, Instance: markInstance})
		return err
	},
	"pacs.Store": func(ctx context.Context, d *markedDesk) error {
		file := fakes.Study{UID: markStudy + ".9", Patient: d.id, Name: "Mark^Name=" + markName, Series: []fakes.Series{{Instances: 1}}}
		maker, err := fakes.New()
		if err != nil {
			return err
		}
		defer maker.Close() //nolint:errcheck // it never fails
		made := maker.AddStudy("pacs", file)
		data, _ := maker.StoredInstance("pacs", made.Series[0].SOPs[0])
		for stored, err := range d.images.Store(ctx, []pacs.File{pacs.Bytes(data), pacs.Bytes([]byte(markName))}, pacs.Upload{Verify: true}) {
			if err != nil {
				return err
			}
			if stored.Resource.Err != nil {
				return stored.Resource.Err
			}
		}
		return nil
	},
	"pacs.ViewerLink": func(ctx context.Context, d *markedDesk) error {
		link, err := d.images.ViewerLink(ctx, markStudy)
		d.client.Status()
		if err == nil && link.String() == link.URL() {
			return hospital.ErrInternal
		}
		return err
	},
	"pacs.Order": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Order(ctx, pacs.OrderRequest{Number: markAccession, Patient: d.id, Items: []pacs.OrderItem{{Code: r4.CodeableConcept{Text: markText}, Note: markText}}})
		return err
	},
	"pacs.CancelOrder": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.CancelOrder(ctx, markAccession, d.id)
		return err
	},
	"pacs.OrderOf": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.OrderOf(ctx, markAccession, d.id)
		return err
	},
	"pacs.Orders": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Orders(ctx, pacs.OrderQuery{Patient: d.id}))
	},
	"pacs.Schedules": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Schedules(ctx, r4.Coding{System: markIssuer, Code: "CT"}, time.Now(), time.Now().Add(time.Hour)))
	},
	"pacs.FreeSlots": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.FreeSlots(ctx, d.room, d.demo.Start, d.demo.End))
	},
	"pacs.Hold": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Hold(ctx, pacs.HoldRequest{Number: markHold, Patient: d.id, Slot: d.scans[0], Until: time.Now().Add(time.Hour)})
		return err
	},
	"pacs.Book": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Book(ctx, pacs.BookRequest{Number: markBook, Patient: d.id, Slot: d.scans[1]})
		return err
	},
	"pacs.Reschedule": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Reschedule(ctx, pacs.RescheduleRequest{Number: markBook, Patient: d.id, From: d.scans[1], To: d.scans[2]})
		return err
	},
	"pacs.ReleaseExpired": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.ReleaseExpired(ctx, d.room, d.demo.Start, d.demo.End)
		return err
	},
	"pacs.SeeCritical": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.SeeCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText})
		return err
	},
	"pacs.HandleCritical": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.HandleCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText})
		return err
	},
	"pacs.Appointment": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Appointment(ctx, markBook, d.id)
		return err
	},
	"pacs.Cancel": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Cancel(ctx, markBook, d.id)
		return err
	},
	"pacs.Release": func(ctx context.Context, d *markedDesk) error {
		_, err := d.images.Release(ctx, markHold, d.id)
		return err
	},
}
