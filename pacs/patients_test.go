package pacs_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

// After a wrong store one study UID is two people's, and nothing of it is shown. An
// archive that says whose something is only when asked let both through.
func TestOneStudyOfTwoPeople(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]campus.PatientID{
		"another number": {Issuer: fakes.IssuerHankou, Value: "ZY010999"},
		"another issuer": {Issuer: fakes.IssuerGuanggu, Value: "ZY010101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hosp := fakes.NewHospital(t)
			c := imaging(t, hosp, nil)
			for uid, patient := range map[string]campus.PatientID{"1.2.3.8": {Issuer: fakes.IssuerHankou, Value: "ZY010101"}, "1.2.3.9": second} {
				hosp.AddStudy("pacs", fakes.Study{UID: "1.2.3", Patient: patient, Series: []fakes.Series{{UID: uid, Modality: "CT"}}})
			}
			require.ErrorIs(t, errorOf(c.Series(t.Context(), "1.2.3")), hospital.ErrUnexpectedAnswer)
			require.ErrorIs(t, errorOf(c.Instances(t.Context(), "1.2.3", "")), hospital.ErrUnexpectedAnswer)
			require.ErrorIs(t, errorOf(c.Retrieve(t.Context(), pacs.Retrieval{Study: "1.2.3"})), hospital.ErrUnexpectedAnswer)
		})
	}
}

// An archive lists each instance with what stands in it: one has no issuer of the
// patient ID (a report of another maker's), the others have.
func TestOneInstanceWithoutIssuer(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	for i, issuer := range []string{"", "A", "A"} {
		files[i] = ofPatient(files[i], "100", issuer)
	}
	onWire(t, 1, func(w *wire) {
		s := &wireStore{files: files[:2]}
		w.sites[0].says(func(r *http.Request) wireAnswer {
			if !strings.HasSuffix(r.URL.Path, "/instances") {
				return s.say(r)
			}
			rows := wireRows(s.files)
			if slices.Contains(r.URL.Query()["includefield"], "PatientID") { // nobody has to name it below a study
				rows[0] = `{"00100020":{"vr":"LO","Value":["100"]},` + rows[0][1:]
				rows[1] = `{"00100020":{"vr":"LO","Value":["100"]},"00100021":{"vr":"LO","Value":["A"]},` + rows[1][1:]
			}
			return wirePage(r, rows)
		})
		w.with(func(c *pacs.Client) {
			wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files[:2], "")
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files[2]), pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"stored"}, wireOutcomes(got))
		})
	})
}
