package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

// A server that ignores filters, and does not say so, has somebody's payment for any number.
func TestAnothersPaymentIsNotMine(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithPersonality(fakes.Personality{IgnoreFilters: true, LyingSelf: true}))
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	d := newDesk(hosp, hosp.Description().Campuses[0], client)
	_ = d.pay(t.Context(), "P1") // nothing is there yet: it is made
	err = d.pay(t.Context(), "P2")
	if err == nil {
		assert.Equal(t, 1, hosp.Count(campus.HIS, "PaymentReconciliation", numberSystem, "P2"), "told as paid, and never paid")
	}
}
