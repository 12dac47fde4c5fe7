package lis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

var (
	peerDay    = time.Date(2030, 1, 7, 8, 0, 0, 0, time.FixedZone("+08:00", 8*60*60))
	laboratory = []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, lis.LaboratoryCategory)}
)

// potassium is a result of the patient's. Of decimals the peer keeps no trailing zeros.
func (b *bench) potassium(value r4.Decimal, at time.Time) *r4.Observation {
	b.t.Helper()
	return &r4.Observation{
		Status: r4.ObservationStatusFinal, Category: laboratory, Code: r4.Concept(loinc, "2823-3"), Subject: b.patientRef(b.patient),
		EffectiveDateTime: at.Format(time.RFC3339), ValueQuantity: r4.UCUMQuantity(value, "mmol/L"),
	}
}

func refTo(r r4.Resource) r4.Reference { return *r4.RefTo(r.ResourceType(), r.ResourceID()) }

// report makes a report on results.
func (b *bench) report(at time.Time, results ...r4.Resource) *r4.DiagnosticReport {
	b.t.Helper()
	r := &r4.DiagnosticReport{
		Identifier: []r4.Identifier{{System: lis.DefaultReportSystem, Value: hospital.NewNumber()}}, Status: r4.DiagnosticReportStatusFinal,
		Category: []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.Laboratory)}, Code: r4.Text("生化"), Subject: b.patientRef(b.patient),
		EffectiveDateTime: at.Format(time.RFC3339),
	}
	for _, o := range results {
		r.Result = append(r.Result, refTo(o))
	}
	return create(b, r)
}

func numberOf(r *r4.DiagnosticReport) string { return r.Identifier[0].Value }

// kinds are results of every kind of value, with all that a laboratory writes beside it.
func (b *bench) kinds() []*r4.Observation {
	no, n := false, 3
	out := []*r4.Observation{
		{ValueQuantity: &r4.Quantity{Value: "0.05", Comparator: r4.QuantityComparatorLessThan, Unit: "ng/mL", System: r4.UCUM, Code: "ng/mL"}},
		{ValueString: "阴性 (−)"},
		{ValueBoolean: &no},
		{ValueInteger: &n},
		{ValueCodeableConcept: &r4.CodeableConcept{Coding: []r4.Coding{{System: "http://snomed.info/sct", Code: "260385009", Display: "Negative"}}, Text: "阴性"}},
		{ValueRatio: &r4.Ratio{Numerator: &r4.Quantity{Value: "1"}, Denominator: &r4.Quantity{Value: "128"}}},
		{ValueRange: &r4.Range{Low: &r4.Quantity{Value: "1"}, High: &r4.Quantity{Value: "3"}}},
		{ValuePeriod: &r4.Period{Start: "2030-01-07T08:00:00+08:00", End: "2030-01-08T08:00:00+08:00"}},
		{ValueTime: "08:30:00"},
		{ValueDateTime: "2030-01-07"},
		{DataAbsentReason: r4.Concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "error")},
		{Component: []r4.ObservationComponent{{Code: r4.Text("收缩压"), ValueQuantity: r4.UCUMQuantity("120", "mm[Hg]")}, {Code: r4.Text("舒张压"), ValueString: "未测"}}},
	}
	for i, o := range out {
		o.Status, o.Category, o.Code, o.Subject = r4.ObservationStatusFinal, laboratory, r4.Text(fmt.Sprint("项目", i)), b.patientRef(b.patient)
		o.EffectivePeriod = &r4.Period{Start: peerDay.Format(time.RFC3339), End: peerDay.Add(time.Minute).Format(time.RFC3339)}
		o.Interpretation = []r4.CodeableConcept{*r4.Concept("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "N")}
		o.Note = []r4.Annotation{{Text: "复检\n两次 <&> \"引号\""}}
		o.ReferenceRange = []r4.ObservationReferenceRange{{Low: r4.UCUMQuantity("3.5", "mmol/L"), High: r4.UCUMQuantity("5.3", "mmol/L"), Text: "3.5–5.3"}}
		o.Extension = []r4.Extension{{URL: "urn:hospital-go:instrument", ValueString: "AU5800"}}
		o.Extra = r4.Extra{{Name: "_status", Value: []byte(`{"extension":[{"url":"urn:hospital-go:reviewed","valueBoolean":true}]}`)}}
	}
	return out
}

// A report with a panel in a panel, contained results and specimens, more members than
// are fetched at once, and values of every kind comes as it was written.
func TestPeerReportComesWholeAndExact(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	subject := p.patientRef(p.patient)
	tube := create(p.bench, &r4.Specimen{Identifier: []r4.Identifier{{System: lis.DefaultBarcodeSystem, Value: hospital.NewNumber()}}, Subject: subject, Type: r4.Text("血清")})
	kinds := createAll(p.bench, p.kinds())
	var many []*r4.Observation
	for i := range 60 {
		many = append(many, p.potassium(r4.Decimal(fmt.Sprint(i+1)), peerDay))
	}
	many = createAll(p.bench, many)
	inner := &r4.Observation{Status: "final", Category: laboratory, Code: r4.Text("内层"), Subject: subject}
	for _, o := range kinds {
		inner.HasMember = append(inner.HasMember, refTo(o))
	}
	inner = create(p.bench, inner)
	outer := create(p.bench, &r4.Observation{Status: "final", Category: laboratory, Code: r4.Text("外层"), Subject: subject, HasMember: []r4.Reference{refTo(inner)}})
	large := &r4.Observation{Status: "final", Category: laboratory, Code: r4.Text("大组"), Subject: subject}
	for _, o := range many {
		large.HasMember = append(large.HasMember, refTo(o))
	}
	large = create(p.bench, large)
	written := create(p.bench, &r4.DiagnosticReport{
		Identifier: []r4.Identifier{{System: lis.DefaultReportSystem, Value: hospital.NewNumber()}}, Status: r4.DiagnosticReportStatusFinal,
		Category: []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.Laboratory)}, Code: r4.Text("全套"), Subject: subject,
		EffectiveDateTime: peerDay.Format(time.RFC3339), Issued: "2030-01-07T10:00:00.123+08:00", Conclusion: "正常\n复查",
		Contained: []r4.Resource{
			&r4.Observation{ID: "a", Status: "final", Code: r4.Text("a"), HasMember: []r4.Reference{{Reference: "#b"}, refTo(kinds[0])}},
			&r4.Observation{ID: "b", Status: "final", Code: r4.Text("b"), ValueString: "阳性"},
			&r4.Specimen{ID: "s", Type: r4.Text("尿")},
		},
		Result:        []r4.Reference{refTo(outer), {Reference: "#a"}, refTo(large)},
		Specimen:      []r4.Reference{refTo(tube), {Reference: "#s"}},
		PresentedForm: []r4.Attachment{{ContentType: "application/pdf", Data: "JVBERi0xLjQ=", Title: "报告.pdf"}},
	})
	list, err := until(p.Reports(t.Context(), lis.ReportQuery{Patient: p.patient}))
	require.NoError(t, err)
	require.Len(t, list, 1)
	one, err := p.again().Report(t.Context(), numberOf(written), p.patient)
	require.NoError(t, err)
	for _, got := range []*lis.Report{list[0].Resource, one.Resource} {
		assert.Equal(t, written, got.Report)
		require.Len(t, got.Results, 3)
		assert.Equal(t, outer, got.Results[0].Observation)
		assert.Equal(t, inner, got.Results[0].Members[0].Observation)
		require.Len(t, got.Results[0].Members[0].Members, len(kinds))
		for i, asked := range p.kinds() {
			o := *got.Results[0].Members[0].Members[i].Observation
			assert.Equal(t, kinds[i], &o)
			o.ID, o.Meta = "", nil
			assert.Equal(t, asked, &o, "as it was sent")
		}
		contained := got.Results[1]
		require.Len(t, contained.Members, 2)
		assert.Equal(t, "阳性", contained.Members[0].Value().Text)
		assert.Equal(t, kinds[0], contained.Members[1].Observation)
		require.Len(t, got.Results[2].Members, 60)
		for i, m := range got.Results[2].Members {
			assert.Equal(t, many[i], m.Observation)
		}
		require.Len(t, got.Specimens, 2)
		assert.Equal(t, tube, got.Specimens[0])
		assert.Equal(t, "尿", got.Specimens[1].Type.Text)
	}
	_, err = p.Report(t.Context(), numberOf(written), p.other)
	require.ErrorIs(t, err, hospital.ErrWrongPatient)
	_, err = p.Report(t.Context(), hospital.NewNumber(), p.patient)
	require.ErrorIs(t, err, hospital.ErrNotFound)
}

// More reports than a page holds, once each, the latest first, within the bounds.
func TestPeerReportsOverPages(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	var ids []string
	for i := range 45 {
		at := peerDay.Add(time.Duration(i) * time.Hour)
		ids = append([]string{p.report(at, create(p.bench, p.potassium("4.1", at))).ID}, ids...)
	}
	got := func(q lis.ReportQuery) (out []string) {
		q.Patient = p.patient
		for _, r := range all(t, p.Reports(t.Context(), q)) {
			require.Len(t, r.Resource.Results, 1)
			assert.Equal(t, "4.1 mmol/L", r.Resource.Results[0].Value().Text)
			out = append(out, r.Resource.Report.ID)
		}
		return out
	}
	assert.Equal(t, ids, got(lis.ReportQuery{}))
	assert.Equal(t, ids[5:35], got(lis.ReportQuery{From: peerDay.Add(10 * time.Hour), To: peerDay.Add(40 * time.Hour)}))
	assert.Empty(t, got(lis.ReportQuery{Codes: []r4.Coding{{System: loinc, Code: "600-7"}}}))
	assert.Empty(t, all(t, p.Reports(t.Context(), lis.ReportQuery{Patient: p.other})))
}

// A report whose member is missing, or another's, is no shorter report.
func TestPeerReportThatIsNotWhole(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	o := create(p.bench, p.potassium("4.1", peerDay))
	below := p.potassium("4.1", peerDay)
	below.HasMember = []r4.Reference{*r4.RefTo("Observation", "none")}
	below = create(p.bench, below)
	others := p.potassium("4.1", peerDay)
	others.Subject = p.patientRef(p.other)
	others = create(p.bench, others)
	for name, c := range map[string]struct {
		spoil func(r *r4.DiagnosticReport)
		want  error
	}{
		"result missing":    {func(r *r4.DiagnosticReport) { r.Result = append(r.Result, *r4.RefTo("Observation", "none")) }, hospital.ErrUnexpectedAnswer},
		"specimen missing":  {func(r *r4.DiagnosticReport) { r.Specimen = []r4.Reference{*r4.RefTo("Specimen", "none")} }, hospital.ErrUnexpectedAnswer},
		"member missing":    {func(r *r4.DiagnosticReport) { r.Result = []r4.Reference{refTo(below)} }, hospital.ErrUnexpectedAnswer},
		"result of another": {func(r *r4.DiagnosticReport) { r.Result = []r4.Reference{refTo(others)} }, hospital.ErrWrongPatient},
		"no specimen":       {func(r *r4.DiagnosticReport) { r.Specimen = []r4.Reference{refTo(o)} }, hospital.ErrUnexpectedAnswer},
	} {
		r := p.report(peerDay, o)
		_, err := p.Report(t.Context(), numberOf(r), p.patient)
		require.NoError(t, err, name)
		put(p.bench, r.ID, c.spoil)
		_, err = p.Report(t.Context(), numberOf(r), p.patient)
		require.ErrorIs(t, err, c.want, name)
		_, err = until(p.Reports(t.Context(), lis.ReportQuery{Patient: p.patient}))
		require.ErrorIs(t, err, c.want, name)
		put(p.bench, r.ID, func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
	}
}

// Preliminary, final, corrected, withdrawn: what is shown, and what a history says.
func TestPeerVersionsAndWithdrawal(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx := t.Context()
	o := create(p.bench, p.potassium("4.1", peerDay))
	r := p.report(peerDay, o)
	steps := []string{r4.DiagnosticReportStatusFinal, r4.DiagnosticReportStatusCorrected, r4.DiagnosticReportStatusAmended}
	for i, status := range steps {
		put(p.bench, r.ID, func(r *r4.DiagnosticReport) { r.Status, r.Conclusion = status, status })
		put(p.bench, o.ID, func(o *r4.Observation) { o.ValueQuantity.Value = r4.Decimal(fmt.Sprint(5 + i)) })
		got, err := p.Report(ctx, numberOf(r), p.patient)
		require.NoError(t, err)
		assert.Equal(t, status, got.Resource.Status())
		assert.True(t, got.Resource.Final())
		assert.Equal(t, fmt.Sprintf("%d mmol/L", 5+i), got.Resource.Results[0].Value().Text)
	}
	shown, err := p.Report(ctx, numberOf(r), p.patient)
	require.NoError(t, err)
	put(p.bench, r.ID, func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
	put(p.bench, o.ID, func(o *r4.Observation) { o.Status = r4.ObservationStatusEnteredInError })
	list := all(t, p.Reports(ctx, lis.ReportQuery{Patient: p.patient}))
	require.Len(t, list, 1, "it was shown before")
	one, err := p.again().Report(ctx, numberOf(r), p.patient)
	require.NoError(t, err)
	for _, got := range []*lis.Report{list[0].Resource, one.Resource} {
		assert.True(t, got.Withdrawn)
		assert.False(t, got.Final())
		assert.Empty(t, got.Results)
		assert.Empty(t, got.Report.Conclusion)
	}
	assert.Empty(t, all(t, p.again().Reports(ctx, lis.ReportQuery{Patient: p.patient})), "it was never shown there")
	results := all(t, p.Results(ctx, lis.ResultQuery{Patient: p.patient}))
	require.Len(t, results, 1)
	assert.True(t, results[0].Resource.Withdrawn)
	assert.Nil(t, results[0].Resource.Observation.ValueQuantity)
	assert.Empty(t, all(t, p.again().Results(ctx, lis.ResultQuery{Patient: p.patient})))

	for direction, want := range map[lis.Direction][]string{
		lis.OldestFirst: append(append([]string{""}, steps...), ""), lis.NewestFirst: {"", "amended", "corrected", "final", ""},
	} {
		versions, err := until(p.ReportVersions(ctx, shown, direction))
		require.NoError(t, err)
		var got []string
		for _, v := range versions {
			got = append(got, v.Resource.Conclusion)
			assert.Equal(t, v.Resource.Status == "entered-in-error", v.Withdrawn)
			assert.Equal(t, v.Withdrawn, v.Current)
			assert.NotEmpty(t, v.At)
		}
		assert.Equal(t, want, got)
	}
	versions, err := until(p.ResultVersions(ctx, results[0], lis.OldestFirst))
	require.NoError(t, err)
	require.Len(t, versions, 5)
	assert.EqualValues(t, "7", versions[3].Resource.ValueQuantity.Value)
	assert.True(t, versions[4].Withdrawn)
}

// Results over several pages, of one test over time, the latest of it, and those that
// other institutions recognise.
func TestPeerResultsAndTrend(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx, code := t.Context(), r4.Coding{System: loinc, Code: "2823-3"}
	var list []*r4.Observation
	for i := range 130 {
		o := p.potassium(r4.Decimal(fmt.Sprint(i+1)), peerDay.Add(time.Duration(i*37%130)*time.Hour)) // in no order
		switch {
		case i%2 == 1:
			o.Code = r4.Concept(loinc, "2951-2")
		case i%5 == 0:
			o.Meta = &r4.Meta{Tag: []r4.Coding{{System: lis.DefaultMarks().Tag.System, Code: lis.DefaultMarks().Tag.Code}}}
		}
		list = append(list, o)
	}
	createAll(p.bench, list)
	create(p.bench, &r4.Observation{Status: "final", Code: r4.Text("体温"), Subject: p.patientRef(p.patient), Category: []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, "vital-signs")}})

	inTime := func(got []hospital.Found[lis.Result], direction lis.Direction, want int) {
		t.Helper()
		assert.Len(t, got, want)
		seen := map[string]bool{}
		for i, r := range got {
			seen[r.Resource.Observation.ID] = true
			if i > 0 {
				before, after := got[i-1].Resource.Observation.EffectiveDateTime, r.Resource.Observation.EffectiveDateTime
				assert.Equal(t, direction == lis.OldestFirst, before < after)
			}
		}
		assert.Len(t, seen, want)
	}
	q := lis.ResultQuery{Patient: p.patient}
	inTime(all(t, p.Results(ctx, q)), lis.NewestFirst, 130)
	inTime(all(t, p.Recognised(ctx, q)), lis.NewestFirst, 13)
	q.Codes = []r4.Coding{code, {System: loinc, Code: "1-1"}}
	inTime(all(t, p.Results(ctx, q)), lis.NewestFirst, 65)
	q.From, q.To = peerDay.Add(20*time.Hour), peerDay.Add(60*time.Hour)
	inTime(all(t, p.Results(ctx, q)), lis.NewestFirst, 20)
	for _, direction := range []lis.Direction{lis.OldestFirst, lis.NewestFirst} {
		inTime(all(t, p.Trend(ctx, lis.TrendQuery{Patient: p.patient, Code: code, Direction: direction})), direction, 65)
	}
	last, err := p.Last(ctx, p.patient, []r4.Coding{code, {System: loinc, Code: "2951-2"}}, 30)
	require.NoError(t, err)
	require.Len(t, last, 60)
	inTime(last[:30], lis.NewestFirst, 30)
	inTime(last[30:], lis.NewestFirst, 30)
	assert.Equal(t, peerDay.Add(128*time.Hour).Format(time.RFC3339), last[0].Resource.Observation.EffectiveDateTime)
	_, err = p.Last(ctx, campus.PatientID{Issuer: peerIssuer, Value: "none"}, []r4.Coding{code}, 1)
	require.ErrorIs(t, err, hospital.ErrNotFound)
}

// A culture: organisms, and what each is susceptible to.
func TestPeerMicrobiology(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	subject := p.patientRef(p.patient)
	result := func(o *r4.Observation, members ...*r4.Observation) *r4.Observation {
		o.Status, o.Category, o.Subject = r4.ObservationStatusFinal, laboratory, subject
		for _, m := range members {
			o.HasMember = append(o.HasMember, refTo(m))
		}
		return create(p.bench, o)
	}
	susceptible := func(drug, sir string) *r4.Observation {
		return result(&r4.Observation{Code: r4.Text(drug), ValueCodeableConcept: r4.Concept("urn:sir", sir), Interpretation: []r4.CodeableConcept{*r4.Concept("urn:sir", sir)}})
	}
	organism := func(code, name string, below ...*r4.Observation) *r4.Observation {
		return result(&r4.Observation{Code: r4.Text("鉴定"), ValueCodeableConcept: &r4.CodeableConcept{Coding: []r4.Coding{{System: "http://snomed.info/sct", Code: code, Display: name}}, Text: name}}, below...)
	}
	coli := organism("112283007", "大肠埃希菌", result(&r4.Observation{Code: r4.Text("药敏")}, susceptible("氨苄西林", "R"), susceptible("美罗培南", "S")))
	aureus := organism("3092008", "金黄色葡萄球菌", susceptible("苯唑西林", "S"))
	yeast := organism("53326005", "白念珠菌")
	culture := result(&r4.Observation{Code: r4.Text("血培养"), ValueString: "阳性"}, coli, aureus, yeast)
	r := p.report(peerDay, culture)
	put(p.bench, r.ID, func(r *r4.DiagnosticReport) {
		r.Category = []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.MicrobiologySection)}
	})
	p.report(peerDay, coli)
	list := all(t, p.Microbiology(t.Context(), lis.ReportQuery{Patient: p.patient}))
	require.Len(t, list, 1)
	require.Len(t, list[0].Resource.Results, 1)
	assert.Len(t, list[0].Resource.Results[0].Members, 3)
	isolates := list[0].Resource.Isolates()
	require.Len(t, isolates, 2)
	assert.Equal(t, "大肠埃希菌", isolates[0].Organism.Value().Text)
	require.Len(t, isolates[0].Susceptibilities, 1)
	assert.Equal(t, "美罗培南", isolates[0].Susceptibilities[0].Members[1].Observation.Code.Text)
	assert.Equal(t, "S", isolates[1].Susceptibilities[0].Value().Codes[0].Code)
	assert.Len(t, all(t, p.Reports(t.Context(), lis.ReportQuery{Patient: p.patient})), 1)
}
