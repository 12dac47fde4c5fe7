package lis_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// A process dies while a critical value is being notified; the next one repeats it at
// once and says so. No version guards a notification: the second must not be put beside
// the first where conditional creates race.
func TestRepeatedNotification(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		r := b.critical("C1")
		b.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: fakes.Action{Delay: 400 * time.Millisecond, Late: true}, Times: 1})
		crashed, kill := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer kill()
		_, err := b.NotifyCritical(crashed, r)
		require.Error(t, err)
		_, err = newBench(t, b.hosp).NotifyCritical(t.Context(), r, hospital.Repeated())
		require.NoError(t, err)
		wait(5 * time.Second)
		assert.Empty(t, b.hosp.Ledger().Doubled())
		assert.Equal(t, 1, b.tasks("C1"))
	}, fakes.WithPersonality(fakes.Personality{RaceWindow: time.Second}))
}

// What is to be taken back of an order has ids of one epoch. When the database was
// restored meanwhile they are another patient's.
func TestTakeBackIsNotAnothersOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, source := fakes.NewHospital(t), &restores{}
		source.set(hosp.Description())
		cfg := hosp.Config()
		cfg.Source, cfg.SourceEvery = source, time.Second
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		b := newBench(t, hosp)
		b.client, b.Client = client, lis.New(client)
		ctx := t.Context()
		// Another program made an item with what would be the order's first line.
		line := r4.Identifier{System: lis.DefaultLineSystem, Value: "O1-1"}
		code := test("1", "x")
		_, _, err = fhir.Create(ctx, client.FHIR(campus.LIS), &r4.ServiceRequest{
			Identifier: []r4.Identifier{line}, Status: "active", Intent: "order", Code: &code, Subject: r4.RefTo("Patient", "1002"),
		})
		require.NoError(t, err)
		wait(time.Second)
		before := time.Now()
		wait(time.Second)

		mend := hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "transaction", Skip: 1}, Do: fakes.Action{ResetBefore: true}})
		_, err = b.Order(ctx, b.request("O1"))
		mend()
		var lost *hospital.Error
		require.ErrorAs(t, err, &lost)
		require.Equal(t, hospital.ErrOutcomeUnknown, lost.Code)

		hosp.Restore(campus.LIS, before)
		source.set(hosp.Description())
		wait(5 * time.Second)
		r := b.request("O2")
		r.Patient = b.other
		_, err = b.Order(ctx, r)
		require.NoError(t, err)
		require.Equal(t, 3, b.live("O2"))
		_, err = lost.Resolve(ctx)
		require.Error(t, err)
		assert.Equal(t, 3, b.live("O2"), "another patient's order was overwritten")
		found, err := b.OrderOf(ctx, "O2", b.other)
		require.NoError(t, err)
		assert.Len(t, found.Resource.Items, 3)
	})
}
