package lis_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// merged merges b.other's record into b.patient's, as the server does.
func (b *bench) merged() (mine, old *r4.Reference) {
	b.t.Helper()
	mine, old = b.patientRef(b.patient), b.patientRef(b.other)
	put(b, strings.TrimPrefix(old.Reference, "Patient/"), func(p *r4.Patient) { p.Link = []r4.PatientLink{{Other: mine, Type: r4.LinkTypeReplacedBy}} })
	put(b, strings.TrimPrefix(mine.Reference, "Patient/"), func(p *r4.Patient) { p.Link = []r4.PatientLink{{Other: old, Type: r4.LinkTypeReplaces}} })
	return mine, old
}

// What was filed under a record that was merged into the patient's is his, too.
func TestReportsOfAMergedRecord(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.merged()
		reports, err := b.reports()
		require.NoError(t, err)
		assert.Len(t, reports, 6, "all of both")
		results, err := until(b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient, Code: potassium}))
		require.NoError(t, err)
		assert.Len(t, results, 6)
	})
}

// A record that stands for somebody is his alone, whatever another one's link says: a merge
// that was undone leaves such a link, and so does one that is half done.
func TestARecordThatStandsIsNobodyElses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		mine, theirs := b.patientRef(b.patient), b.patientRef(b.other)
		request := b.request("R1")
		request.Patient = b.other
		_, err := b.Order(t.Context(), request)
		require.NoError(t, err)
		put(b, strings.TrimPrefix(mine.Reference, "Patient/"), func(p *r4.Patient) { p.Link = []r4.PatientLink{{Other: theirs, Type: r4.LinkTypeReplaces}} })
		reports, err := until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.other}))
		require.NoError(t, err)
		require.Len(t, reports, 3, "the other patient stands")

		reports, _ = b.reports()
		for _, r := range reports {
			assert.Equal(t, mine.Reference, r.Resource.Report.Subject.Reference, "a report of another patient's")
		}
		_, err = b.Collect(t.Context(), lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
		require.Error(t, err, "a tube of one patient for another's order")
		_, err = b.CancelOrder(t.Context(), "R1", b.patient)
		require.Error(t, err)
		assert.Equal(t, 3, b.live("R1"))
	})
}

// What a merged record's results say is told to the ward like any other.
func TestACriticalValueOfAMergedRecord(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		before := b.critical("C0")
		before.Patient = b.other
		last, err := b.Last(t.Context(), b.other, []r4.Coding{potassium}, 1)
		require.NoError(t, err)
		before.Finding = lis.ResultFinding(last[0])
		_, err = b.NotifyCritical(t.Context(), before)
		require.NoError(t, err)
		_, old := b.merged()

		r := b.critical("C1")
		for found, err := range b.Results(t.Context(), lis.ResultQuery{Patient: b.patient}) {
			require.NoError(t, err)
			if found.Resource.Observation.Subject.Reference == old.Reference {
				r.Finding = lis.ResultFinding(found)
			}
		}
		_, err = b.NotifyCritical(t.Context(), r)
		require.NoError(t, err, "a result that Results shows as his")
		before.Patient = b.patient
		_, err = b.NotifyCritical(t.Context(), before)
		require.NoError(t, err, "a repetition after the merge")
		assert.Equal(t, 1, b.tasks("C0"))
	})
}

// A merge is no withdrawal: the versions of before and after it are one patient's.
func TestVersionsOverAMerge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		list, err := until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.other}))
		require.NoError(t, err)
		before := list[0]
		mine, _ := b.merged()
		put(b, before.Resource.Report.ID, func(r *r4.DiagnosticReport) { r.Subject = mine }) // the server takes it along
		after, err := b.Report(t.Context(), before.Resource.Report.Identifier[0].Value, b.patient)
		require.NoError(t, err)
		for name, found := range map[string]hospital.Found[*lis.Report]{"shown before": before, "shown after": after} {
			versions, err := until(b.ReportVersions(t.Context(), found, lis.NewestFirst))
			require.NoError(t, err)
			require.Len(t, versions, 2)
			for i, v := range versions {
				assert.False(t, v.Withdrawn, "%s: version %d", name, i)
				assert.NotNil(t, v.Resource, "%s: version %d", name, i)
			}
		}
	})
}

// A feed tells of a report that a merge took along, and its results not yet.
func TestCompleteOfAMergedRecord(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		list, err := until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.other}))
		require.NoError(t, err)
		number, id := list[0].Resource.Report.Identifier[0].Value, list[0].Resource.Report.ID
		mine, _ := b.merged()
		put(b, id, func(r *r4.DiagnosticReport) { r.Subject = mine })
		whole, err := b.Report(t.Context(), number, b.patient)
		require.NoError(t, err)
		told := hospital.Found[*r4.DiagnosticReport]{Resource: whole.Resource.Report, Origin: whole.Origin}
		again, err := b.Complete(t.Context(), told)
		require.NoError(t, err, "Report has shown it")
		assert.Len(t, again.Resource.Results, len(whole.Resource.Results))
	})
}
