package lis_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// critical is a notification of a high potassium, in the peer's ward.
func (p *peerBench) critical(number string) lis.CriticalRequest {
	p.t.Helper()
	result, resp, err := fhir.Create(p.t.Context(), p.client.FHIR(campus.LIS), p.potassium("7.1", time.Now()))
	require.NoError(p.t, err)
	return lis.CriticalRequest{
		Number: number, Patient: p.patient, Finding: hospital.Found[r4.Resource]{Resource: result, Origin: hospital.OriginOf(resp)},
		Value: "K+ 7.1 mmol/L", Ward: p.ward, Deadline: time.Now().Add(30 * time.Minute), By: "L1", Terminal: "LAB-3",
	}
}

// notified tells the ward and returns the first step.
func (p *peerBench) notified() lis.CriticalAcknowledgement {
	p.t.Helper()
	told, err := p.NotifyCritical(p.t.Context(), p.critical(hospital.NewNumber()))
	require.NoError(p.t, err)
	return lis.CriticalAcknowledgement{Number: told.Resource.Number, By: "N1", Terminal: "W1-2", Text: told.Resource.Value}
}

// stepped checks that exactly these steps were taken, in one Task of the Number.
func (p *peerBench) stepped(number string, want ...lis.CriticalStage) {
	p.t.Helper()
	assert.Len(p.t, found(p.bench, fhir.Identifier[*r4.Task](lis.DefaultCriticalSystem, number)), 1)
	c, err := p.CriticalOf(p.t.Context(), number)
	require.NoError(p.t, err)
	var got []lis.CriticalStage
	for _, s := range c.Resource.Steps {
		got = append(got, s.Stage)
	}
	assert.Equal(p.t, want, got)
	assert.Equal(p.t, want[len(want)-1], c.Resource.Stage)
}

func TestPeerLifeOfACriticalValue(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx, number := t.Context(), hospital.NewNumber()
	r := p.critical(number)
	for range 2 {
		told, err := p.NotifyCritical(ctx, r)
		require.NoError(t, err)
		assert.Equal(t, lis.CriticalNotified, told.Resource.Stage)
		assert.Equal(t, "K+ 7.1 mmol/L", told.Resource.Value)
		assert.Equal(t, p.patient, told.Resource.Patient)
		assert.Equal(t, r.Deadline.Unix(), told.Resource.Deadline.Unix())
	}
	read := lis.CriticalAcknowledgement{Number: number, By: "N1", Terminal: "W1-2", Text: "K+ 1.7 mmol/L"}
	_, err := p.ReceiveCritical(ctx, read)
	assert.EqualValues(t, lis.RefusedReadBack, refusal(t, err))
	seen := lis.CriticalAcknowledgement{Number: number, By: "D1", Terminal: "D-PAD"}
	handled := lis.CriticalAcknowledgement{Number: number, By: "D1", Text: "葡萄糖酸钙静推"}
	_, err = p.SeeCritical(ctx, seen)
	require.ErrorIs(t, err, hospital.ErrConflict, "nobody has received it")
	_, err = p.HandleCritical(ctx, handled)
	require.ErrorIs(t, err, hospital.ErrConflict, "nobody has seen it")
	read.Text = " K+  7.1 mmol/L"
	for range 2 {
		_, err = p.again().ReceiveCritical(ctx, read)
		require.NoError(t, err)
	}
	_, err = p.HandleCritical(ctx, handled)
	require.ErrorIs(t, err, hospital.ErrConflict)
	open, err := p.OpenCriticals(ctx, p.ward)
	require.NoError(t, err)
	require.Len(t, open, 1)
	assert.Equal(t, lis.CriticalReceived, open[0].Resource.Stage)
	for range 2 {
		_, err = p.SeeCritical(ctx, seen)
		require.NoError(t, err)
	}
	other := handled
	other.By = "D2"
	for range 2 {
		_, err = p.HandleCritical(ctx, handled)
		require.NoError(t, err)
	}
	_, err = p.HandleCritical(ctx, other)
	require.ErrorIs(t, err, hospital.ErrConflict)
	_, err = p.ReceiveCritical(ctx, read)
	require.NoError(t, err, "a repetition long after")
	p.stepped(number, lis.CriticalNotified, lis.CriticalReceived, lis.CriticalSeen, lis.CriticalHandled)
	open, err = p.OpenCriticals(ctx, p.ward)
	require.NoError(t, err)
	assert.Empty(t, open)
}

func TestPeerNotificationsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx, number := t.Context(), hospital.NewNumber()
	asked := p.critical(number)
	told, err := p.NotifyCritical(ctx, asked)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(r *lis.CriticalRequest)
		want   error
	}{
		"another value":    {func(r *lis.CriticalRequest) { r.Value = "K+ 7.2 mmol/L" }, hospital.ErrNumberReused},
		"another patient":  {func(r *lis.CriticalRequest) { r.Patient = p.other }, hospital.ErrNumberReused},
		"another's result": {func(r *lis.CriticalRequest) { r.Number, r.Patient = hospital.NewNumber(), p.other }, hospital.ErrWrongPatient},
		"another finding":  {func(r *lis.CriticalRequest) { r.Finding = p.critical(number).Finding }, hospital.ErrNumberReused},
		"an unknown ward":  {func(r *lis.CriticalRequest) { r.Number, r.Ward.Value = hospital.NewNumber(), "none" }, hospital.ErrInvalidArgument},
	} {
		r := asked
		c.change(&r)
		_, err := p.NotifyCritical(ctx, r)
		require.ErrorIs(t, err, c.want, name)
	}
	put(p.bench, told.Resource.Task.ID, func(t *r4.Task) { t.Status = r4.TaskStatusCancelled })
	_, err = p.NotifyCritical(ctx, asked)
	require.ErrorIs(t, err, hospital.ErrNumberReused, "it was withdrawn")
	_, err = p.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Text: asked.Value})
	require.ErrorIs(t, err, hospital.ErrConflict)
	_, err = p.CriticalOf(ctx, hospital.NewNumber())
	require.ErrorIs(t, err, hospital.ErrNotFound)
	_, err = p.OpenCriticals(ctx, r4.Identifier{System: p.ward.System, Value: "none"})
	require.ErrorIs(t, err, hospital.ErrInvalidArgument)
}

// Of several who notify or take a step at once, one does.
func TestPeerCriticalsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	r := p.critical(hospital.NewNumber())
	together(8, func(int) {
		_, err := p.NotifyCritical(t.Context(), r)
		assert.NoError(t, err)
	})
	for i, step := range []func(context.Context, lis.CriticalAcknowledgement, ...hospital.WriteOption) (hospital.Found[*lis.Critical], error){
		p.ReceiveCritical, p.SeeCritical, p.HandleCritical,
	} {
		var taken atomic.Int32
		together(8, func(n int) {
			_, err := step(t.Context(), lis.CriticalAcknowledgement{Number: r.Number, By: fmt.Sprint("N", n), Text: r.Value})
			if err == nil {
				taken.Add(1)
				return
			}
			assert.ErrorIs(t, err, hospital.ErrConflict)
		})
		assert.EqualValues(t, 1, taken.Load(), i)
	}
	p.stepped(r.Number, lis.CriticalNotified, lis.CriticalReceived, lis.CriticalSeen, lis.CriticalHandled)
}

// A ward with more open critical values than a page holds: all come, once each, the
// nearest deadline first; overdue are those whose time has passed.
func TestPeerOpenAndOverdueOverPages(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx := t.Context()
	told, err := p.NotifyCritical(ctx, p.critical(hospital.NewNumber()))
	require.NoError(t, err)
	start := time.Now().Add(-time.Hour)
	var tasks []*r4.Task
	for i := range 619 {
		c := *told.Resource.Task
		c.ID, c.Meta = "", nil
		c.Identifier = []r4.Identifier{{System: lis.DefaultCriticalSystem, Value: hospital.NewNumber()}}
		end := start.Add(time.Duration(i) * time.Second)
		if i >= 555 {
			end = end.Add(2 * time.Hour) // these are in time
		}
		c.Restriction = &r4.TaskRestriction{Period: &r4.Period{End: end.Format(time.RFC3339)}}
		tasks = append(tasks, &c)
	}
	slices.Reverse(tasks)
	tasks = createAll(p.bench, tasks)
	for range 2 {
		open, err := p.OpenCriticals(ctx, p.ward)
		require.NoError(t, err)
		require.Len(t, open, 620)
		seen := map[string]bool{}
		for i, c := range open {
			seen[c.Resource.Number] = true
			assert.False(t, i > 0 && c.Resource.Deadline.Before(open[i-1].Resource.Deadline))
		}
		assert.Len(t, seen, 620)
		overdue, err := p.OverdueCriticals(ctx, p.ward)
		require.NoError(t, err)
		assert.Len(t, overdue, 555)
	}
	everywhere, err := p.OpenCriticals(ctx, r4.Identifier{})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(everywhere), 620)
	p.close(tasks)
	open, err := p.OpenCriticals(ctx, p.ward)
	require.NoError(t, err)
	assert.Len(t, open, 1)
}

// close ends many, so that the server's list of all wards does not grow from run to run.
func (p *peerBench) close(tasks []*r4.Task) {
	p.t.Helper()
	for some := range slices.Chunk(tasks, 50) {
		bundle := &r4.Bundle{Type: r4.BundleTypeTransaction}
		for _, c := range some {
			c.Status = r4.TaskStatusCancelled
			bundle.Entry = append(bundle.Entry, fhir.Put(c))
		}
		_, _, err := fhir.Transaction(p.t.Context(), p.client.FHIR(campus.LIS), bundle)
		require.NoError(p.t, err)
	}
}

// A sweep tells what becomes of one that is overdue from the start.
func TestPeerSweep(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	r := p.critical(hospital.NewNumber())
	r.Deadline = time.Now().Add(-time.Minute)
	_, err := p.NotifyCritical(t.Context(), r)
	require.NoError(t, err)
	a := lis.CriticalAcknowledgement{Number: r.Number, By: "N1", Text: r.Value}
	var kinds []string
	for change, err := range p.SweepCriticals(t.Context(), p.ward, 20*time.Millisecond) {
		require.NoError(t, err)
		kinds = append(kinds, fmt.Sprint(change.Kind, " ", change.Resource.Stage))
		switch {
		case change.Kind == lis.CriticalIsOverdue:
			_, err = p.ReceiveCritical(t.Context(), a)
		case change.Resource.Stage == lis.CriticalReceived:
			_, err = p.SeeCritical(t.Context(), a)
		case change.Resource.Stage == lis.CriticalSeen:
			_, err = p.HandleCritical(t.Context(), a)
		}
		require.NoError(t, err)
		if change.Kind == lis.CriticalIsGone {
			break
		}
	}
	assert.Equal(t, []string{"new notified", "overdue notified", "advanced received", "advanced seen", "gone handled"}, kinds)
}
