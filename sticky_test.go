package hospital_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// The steps of one workflow stay in the environment where it began, though the
// campus prefers the other, until that one takes no calls any more.
func TestSticky(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		patient := s.hosp.Demo().Patients[0]
		s.client.Drain(failover.Selector{Environment: "A"})
		begun, err := s.desk.Patient(s.t.Context(), patient)
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.EnvironmentID("B"), begun.Origin.Environment)
		s.client.Restore(failover.Selector{Environment: "A"})

		next, err := s.desk.Patient(s.t.Context(), patient)
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.EnvironmentID("A"), next.Origin.Environment, "the campus's own, without Sticky")

		workflow := hospital.Sticky(s.t.Context(), begun.Origin)
		next, err = s.desk.Patient(workflow, patient)
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.EnvironmentID("B"), next.Origin.Environment)
		written, err := order(workflow, s.client, hospital.NewNumber())
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.EnvironmentID("B"), written.Environment)

		s.client.Drain(failover.Selector{Environment: "B"})
		next, err = s.desk.Patient(workflow, patient)
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.EnvironmentID("A"), next.Origin.Environment, "a drained one is left, and Origin says so")
	}, fakes.WithEnvironments())
}

// A second site is asked while the first is late, but not where each request is a
// disclosure that is recorded, and not where it is switched off.
func TestWhoIsHedged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(cfg *hospital.Config)
		hedged bool
	}{
		"as it comes":  {nil, true},
		"audited":      {func(cfg *hospital.Config) { cfg.Audit = (&auditLog{}).record }, false},
		"switched off": {func(cfg *hospital.Config) { cfg.DisableHedging = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, c.change, func(s *stage) {
				s.loadAt(s.client, 2*time.Second, 50, 0)
				s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: fakes.Action{Delay: time.Second}})
				began := time.Now()
				_, err := s.desk.Patient(s.t.Context(), s.hosp.Demo().Patients[0])
				require.NoError(s.t, err)
				assert.Equal(s.t, c.hedged, time.Since(began) < 100*time.Millisecond)
				assert.Equal(s.t, c.hedged, s.reasons["hedge"] > 0)
			})
		})
	}
}
