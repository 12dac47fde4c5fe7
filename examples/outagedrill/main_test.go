package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

func quick() options {
	return options{lang: "en", json: true, fault: 700 * time.Millisecond, holdDown: 200 * time.Millisecond, growth: 200 * time.Millisecond, back: 20 * time.Second}
}

func play(t *testing.T, o options) map[string]result {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, o), out.String())
	var got struct{ Rows []result }
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	rows := map[string]result{}
	for _, r := range got.Rows {
		rows[r.Fault] = r
	}
	return rows
}

func TestDrill(t *testing.T) {
	t.Parallel()
	o := quick()
	o.only = "host,cut,lost-answer,release"
	rows := play(t, o)
	require.Len(t, rows, 4)
	for name, r := range rows {
		assert.Greater(t, r.Calls, 10, name)
		assert.Zero(t, r.Failed+r.Unknown+r.Duplicated+r.Lost, name)
		assert.True(t, r.Kept, name)
	}
	assert.GreaterOrEqual(t, rows["host"].SwitchMS, int64(0))
	assert.GreaterOrEqual(t, rows["host"].BackMS, int64(0), "and home again")
}

func TestStoreGone(t *testing.T) {
	t.Parallel()
	o := quick()
	o.only, o.fault = "store", 2*time.Second
	r := play(t, o)["store"]
	assert.Positive(t, r.Failed, "calls are refused while it is gone")
	assert.Zero(t, r.Duplicated+r.Lost)
	assert.True(t, r.Kept)
}

// Before a real hospital the drill only reads, and breaks its own network.
func TestStaging(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithLoopback())
	data, err := hospital.Document(hosp.Description())
	require.NoError(t, err)
	o := quick()
	o.config = filepath.Join(t.TempDir(), "hospital.yaml")
	require.NoError(t, os.WriteFile(o.config, append([]byte("campus: hankou\n"), data...), 0o600))
	o.readonly, o.patient = true, hosp.Demo().Patients[0]
	o.only = "host,store,campus,brownout,cut,release"
	rows := play(t, o)
	assert.NotEmpty(t, rows["store"].Skipped, "it would need the servers")
	for _, name := range []string{"host", "brownout", "cut", "release"} {
		assert.Greater(t, rows[name].Calls, 10, name)
		assert.Zero(t, rows[name].Failed, name)
	}
	assert.Positive(t, rows["campus"].Failed)
	for _, e := range hosp.Ledger().Entries() {
		assert.False(t, e.Executed, "nothing was written")
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string][]string{"zh": {"容灾演练报告", "一台主机故障", "兑现", "参数"}, "en": {"Outage drill", "a host is lost", "kept", "Constants"}} {
		o := quick()
		o.only, o.lang, o.json = "host", lang, false
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out, o))
		for _, w := range want {
			assert.Contains(t, out.String(), w)
		}
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *options){
		"lang":           func(o *options) { o.lang = "fr" },
		"no time":        func(o *options) { o.fault = 0 },
		"only":           func(o *options) { o.only = "meteor" },
		"writes allowed": func(o *options) { o.config = "hospital.yaml" },
		"no hospital":    func(o *options) { o.readonly = true },
		"patient":        func(o *options) { o.patient = campus.PatientID{Value: "1"} },
		"no such file":   func(o *options) { o.config, o.readonly = "nowhere.yaml", true },
	} {
		o := quick()
		change(&o)
		require.Error(t, run(t.Context(), &bytes.Buffer{}, o), name)
	}
}
