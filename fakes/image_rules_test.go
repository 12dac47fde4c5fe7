package fakes_test

import (
	"bytes"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// Rules break DICOMweb as they break FHIR.
func TestImageRules(t *testing.T) {
	t.Parallel()
	type outcome struct {
		status int
		length int // of the body that came; -1: whole
		broken bool
		kept   int // instances
	}
	study := func(w *wire, s fakes.Study) got { return w.fetch(pacsA+studyPath(s), stored) }
	store := func(w *wire, _ fakes.Study) got { return w.store(pacsA+"/studies", picturesOf("1.2.3", 2)...) }
	search := func(w *wire, _ fakes.Study) got { return w.fetch(pacsA+"/studies", dicomJSON) }
	for name, c := range map[string]struct {
		interaction string
		do          fakes.Action
		call        func(*wire, fakes.Study) got
		want        outcome
	}{
		"a study is cut":               {"retrieve-study", fakes.Action{CutAfter: 20_000}, study, outcome{200, 20_000, true, 0}},
		"cut behind its headers":       {"retrieve-study", fakes.Action{CutAfter: -1}, study, outcome{200, 0, true, 0}},
		"a cut beyond its end":         {"retrieve-study", fakes.Action{CutAfter: 1 << 30}, study, outcome{200, -1, false, 0}},
		"a study stalls":               {"retrieve-study", fakes.Action{StallAfter: 9_000}, study, outcome{200, 9_000, true, 0}},
		"a search stalls at once":      {"search-studies", fakes.Action{StallAfter: -1}, search, outcome{200, 0, true, 0}},
		"another status":               {"retrieve-study", fakes.Action{Status: 503, RetryAfter: "2"}, study, outcome{503, -1, false, 0}},
		"reset before":                 {"search-studies", fakes.Action{ResetBefore: true}, search, outcome{0, 0, true, 0}},
		"hangs":                        {"search-studies", fakes.Action{Hang: true}, search, outcome{0, 0, true, 0}},
		"late":                         {"search-studies", fakes.Action{Delay: time.Second}, search, outcome{200, -1, false, 0}},
		"rewritten":                    {"search-studies", fakes.Action{Rewrite: func([]byte) []byte { return []byte("[{}]") }}, search, outcome{200, 4, false, 0}},
		"a study rewritten":            {"retrieve-study", fakes.Action{Rewrite: bytes.ToUpper}, study, outcome{200, -1, false, 0}},
		"a study with a surplus":       {"retrieve-study", fakes.Action{Surplus: "HTTP/1.1 200 OK\r\n\r\n"}, study, outcome{200, -1, false, 0}},
		"of another interaction":       {"retrieve-series", fakes.Action{Status: 500}, study, outcome{200, -1, false, 0}},
		"a store's answer is lost":     {"store", fakes.Action{ResetAfter: true}, store, outcome{0, 0, true, 2}},
		"a store hangs":                {"store", fakes.Action{Hang: true}, store, outcome{0, 0, true, 0}},
		"a gateway answers a store":    {"store", fakes.Action{Status: 504, Execute: true}, store, outcome{504, -1, false, 2}},
		"a store is refused":           {"store", fakes.Action{Status: 503}, store, outcome{503, -1, false, 0}},
		"a store's answer comes late":  {"store", fakes.Action{AnswerDelay: time.Second}, store, outcome{200, -1, false, 2}},
		"a store's answer is cut":      {"store", fakes.Action{CutAfter: 10}, store, outcome{200, 10, true, 2}},
		"a store's connection is gone": {"store", fakes.Action{ResetBefore: true}, store, outcome{0, 0, true, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, w := imaged(t)
				w.client.Timeout = 10 * time.Second
				hosp.Break(fakes.Rule{When: fakes.When{Interaction: c.interaction, System: campus.PACS}, Do: c.do})
				g := c.call(w, hosp.Demo().Studies[0])
				assert.Equal(t, c.want.status, g.status)
				assert.Equal(t, c.want.broken, g.err != nil, "%v", g.err)
				if c.want.length >= 0 {
					assert.Len(t, g.body, c.want.length)
				}
				if g.status >= 400 {
					assert.NotContains(t, string(g.body), "OperationOutcome")
				}
				assert.Equal(t, c.do.RetryAfter, g.header.Get("Retry-After"))
				assert.Len(t, hosp.Instances("pacs", "1.2.3"), c.want.kept)
			})
		})
	}
}

// Beyond a server's limit it executes nothing.
func TestImageLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		hosp.Limit("dc-a", 1)
		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-studies"}, Do: fakes.Action{Delay: time.Minute}})
		slow := make(chan got)
		go func() { slow <- w.fetch(pacsA+"/studies", dicomJSON) }()
		synctest.Wait()
		assert.Equal(t, http.StatusTooManyRequests, w.store(pacsA+"/studies", picturesOf("1.2.3", 1)...).status)
		assert.Empty(t, hosp.Instances("pacs", "1.2.3"))
		assert.Equal(t, 200, (<-slow).status)
	})
}

// Roles and health are asked below the PACS's own address.
func TestImageSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithHealthPath(), fakes.WithRolePath())
		hosp.SetReady(failover.Selector{System: campus.PACS}, false)
		hosp.SetWriter(campus.PACS, "dc-a")
		assert.Equal(t, 503, w.fetch(pacsA+"/health/ready", "*/*").status)
		assert.Equal(t, 200, w.fetch(pacsA+"/primary", "*/*").status)
		assert.Equal(t, 200, w.fetch("http://ris.dc-a.test/fhir/health/ready", "*/*").status)
		assert.Equal(t, 404, w.fetch("http://pacs.dc-a.test/fhir/health/ready", "*/*").status)
	})
}
