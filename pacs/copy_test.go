package pacs_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

// What a standby's copy does not have yet must not be missing without a word: images
// arrive complete or not at all.
func TestWhatACopyListsMayNotBeAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithReadableStandby(), fakes.WithLag(10*time.Minute))
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
		study := fakes.Study{
			UID: "2.25.4711", Patient: patient, Name: "Zhang^Sanfeng=张^三丰", Date: "20260101", Time: "080000",
			Series: []fakes.Series{{UID: "2.25.47110", Modality: "CT", Instances: 2}},
		}
		hosp.AddStudy("pacs", study)
		time.Sleep(20 * time.Minute) //nolint:forbidigo // virtual; the copy has both now
		study.Series[0].Instances = 5
		hosp.AddStudy("pacs", study) // three more came
		hosp.Stop("dc-a")
		hosp.Stop("dc-b")
		came := 0
		var last error
		for in, err := range pacs.New(client).Retrieve(t.Context(), pacs.Retrieval{Study: "2.25.4711"}) {
			if last = err; err == nil {
				came++
				assert.NotEmpty(t, in.Origin.ReplicaOf)
			}
		}
		assert.Equal(t, 2, came)
		require.ErrorIs(t, last, hospital.ErrStale)
	})
}

// The original lists the study and goes away while it is read; the rest comes from its
// copy: all that the original listed came, whether or not the copy lists it too.
func TestStudyListedByTheOriginalAndEndedByACopy(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 1)
	for name, lists := range map[string]bool{"the copy lists": true, "the copy does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				w.change = func(cfg *hospital.Config) {
					d := &cfg.Topology
					d.Stores = append(d.Stores, campus.Store{ID: "pacs-dr", ReplicaOf: "pacs", Lag: time.Minute})
					d.Endpoints[1].Store, d.Endpoints[1].Readable = "pacs-dr", true
					d.DataCenters[1].Role = campus.Standby
				}
				two, gone := len(wireParts(files[:2]...).body)-len(wireClose)+8, false
				w.sites[0].says(func(r *http.Request) wireAnswer {
					if gone {
						return wireAnswer{status: http.StatusServiceUnavailable}
					}
					gone = wholeStudy(r)
					return (&wireArchive{files: files, spoil: instead(wholeStudy, wireParts(files...).framed(wireClosing).until(two))}).answer(r)
				})
				w.sites[1].says((&wireArchive{files: files, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
					if strings.HasSuffix(r.URL.Path, "/instances") && !lists {
						return wireAnswer{status: http.StatusServiceUnavailable}
					}
					return a
				}}).answer)
				w.with(func(c *pacs.Client) { wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, "") })
			})
		})
	}
}

// One campus was sent a few images of a study that another has whole: whoever answers
// first hides nobody, or what is retrieved from what was found would be short.
func TestACopyOfAFewHidesNoStudy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithOwnStores(campus.PACS))
		here, there := hosp.Demo().Patients[0], hosp.Demo().Patients[1]
		study := fakes.Study{UID: "2.25.4711", Patient: here, Name: "A^B", Series: []fakes.Series{{UID: "2.25.4712", Modality: "CT", Instances: 20}}}
		study = hosp.AddStudy("pacs-hankou", study)
		study.Patient, study.Series = there, []fakes.Series{{UID: "2.25.4712", Modality: "CT", Instances: 2, SOPs: study.Series[0].SOPs[:2]}}
		hosp.AddStudy("pacs-guanggu", study)
		hosp.Break(fakes.Rule{When: fakes.When{System: campus.PACS, DataCenter: "dc-a"}, Do: fakes.Action{Delay: 100 * time.Millisecond}})
		images := imaging(t, hosp, func(cfg *hospital.Config) {
			cfg.DisableHedging = true
			cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
				return []campus.PatientID{there}, nil
			}
		})
		got := map[campus.ID]int{}
		for found, err := range images.Studies(t.Context(), pacs.StudyQuery{Patient: here, UID: study.UID}, hospital.AcrossCampuses()) {
			require.NoError(t, err)
			got[found.Origin.Campus] = found.Resource.Instances
		}
		assert.Equal(t, map[campus.ID]int{"hankou": 20, "guanggu": 2}, got)
	})
}
