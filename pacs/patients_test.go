package pacs_test

import (
	"testing"

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
