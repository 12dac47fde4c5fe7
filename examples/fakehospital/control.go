package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

// control is the REST control of one hospital.
type control struct {
	hosp  *fakes.Hospital
	about about
	yaml  string

	mu     sync.Mutex
	next   int
	faults map[int]broken
}

type broken struct {
	rule json.RawMessage
	mend func()
}

// about is the line it prints.
type about struct {
	Control   string     `json:"control"`
	Config    string     `json:"config"`
	Endpoints []endpoint `json:"endpoints"`
	Patient   identifier `json:"patient"`
	Loaded    int        `json:"loaded"`
}

type endpoint struct {
	ID         campus.EndpointID   `json:"id"`
	System     campus.SystemID     `json:"system"`
	DataCenter campus.DataCenterID `json:"datacenter"`
	Store      campus.StoreID      `json:"store"`
	URL        string              `json:"url"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

func newControl(hosp *fakes.Hospital, address string, loaded int) *control {
	d := hosp.Config().Topology
	patient := hosp.Demo().Patients[0]
	c := &control{hosp: hosp, faults: map[int]broken{}}
	c.about = about{Control: address, Config: address + "/hospital.yaml", Patient: identifier{patient.Issuer, patient.Value}, Loaded: loaded}
	for i := range d.Endpoints {
		e := &d.Endpoints[i]
		c.about.Endpoints = append(c.about.Endpoints, endpoint{e.Name(), e.System, e.DataCenter, e.Store, e.URL})
	}
	described, err := hospital.Document(d)
	if err != nil {
		panic(err) // the description is ours
	}
	c.yaml = fmt.Sprintf("campus: %s\n%s", d.Campuses[0].ID, described)
	return c
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { send(w, http.StatusOK, c.about) })
	mux.HandleFunc("GET /hospital.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = io.WriteString(w, c.yaml)
	})
	mux.HandleFunc("GET /ledger", c.ledger)
	mux.HandleFunc("POST /faults", c.breakIt)
	mux.HandleFunc("GET /faults", c.list)
	mux.HandleFunc("DELETE /faults", c.mendAll)
	mux.HandleFunc("DELETE /faults/{id}", c.mend)
	mux.HandleFunc("POST /datacenters/{id}/{what}", c.dataCenter)
	mux.HandleFunc("POST /stores/{id}/{what}", c.store)
	return mux
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // plain data
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	send(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

func (c *control) ledger(w http.ResponseWriter, r *http.Request) {
	if number := r.URL.Query().Get("number"); number != "" {
		send(w, http.StatusOK, map[string]int{"executions": c.hosp.Ledger().Executions(number)})
		return
	}
	send(w, http.StatusOK, map[string]any{"entries": c.hosp.Ledger().Entries(), "doubled": c.hosp.Ledger().Doubled()})
}

// duration is a time as text: "200ms".
type duration time.Duration

// UnmarshalJSON reads the text.
func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a duration must be a text such as \"200ms\"")
	}
	t, err := time.ParseDuration(text)
	*d = duration(t)
	return err
}

// rule is fakes.Rule in JSON.
type rule struct {
	When struct {
		System      campus.SystemID
		DataCenter  campus.DataCenterID
		Interaction string
		Type        string
		Skip        int
	}
	Do struct {
		Delay, Jitter, AnswerDelay                   duration
		Late, Hang, ResetBefore, Execute, ResetAfter bool
		Status, CutAfter                             int
		Body, ContentType, RetryAfter, Surplus       string
	}
	Times int
}

func (r *rule) fake() fakes.Rule {
	return fakes.Rule{
		When: fakes.When{System: r.When.System, DataCenter: r.When.DataCenter, Interaction: r.When.Interaction, Type: r.When.Type, Skip: r.When.Skip},
		Do: fakes.Action{
			Delay: time.Duration(r.Do.Delay), Jitter: time.Duration(r.Do.Jitter), Late: r.Do.Late, Hang: r.Do.Hang, ResetBefore: r.Do.ResetBefore,
			Status: r.Do.Status, Body: r.Do.Body, ContentType: r.Do.ContentType, RetryAfter: r.Do.RetryAfter, Execute: r.Do.Execute,
			AnswerDelay: time.Duration(r.Do.AnswerDelay), ResetAfter: r.Do.ResetAfter, CutAfter: r.Do.CutAfter, Surplus: r.Do.Surplus,
		},
		Times: r.Times,
	}
}

const maxRule = 1 << 20

func (c *control) breakIt(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRule))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "a fault has at most %d bytes", maxRule)
		return
	}
	var in rule
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "%s", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	c.faults[c.next] = broken{data, c.hosp.Break(in.fake())}
	send(w, http.StatusCreated, map[string]int{"id": c.next})
}

func (c *control) list(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]json.RawMessage{}
	for id, f := range c.faults {
		out[strconv.Itoa(id)] = f.rule
	}
	send(w, http.StatusOK, out)
}

func (c *control) mendAll(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, f := range c.faults {
		f.mend()
		delete(c.faults, id)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *control) mend(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.faults[id]
	if !ok {
		refuse(w, http.StatusNotFound, "there is no such fault")
		return
	}
	f.mend()
	delete(c.faults, id)
	w.WriteHeader(http.StatusNoContent)
}

func (c *control) dataCenter(w http.ResponseWriter, r *http.Request) {
	id, what := campus.DataCenterID(r.PathValue("id")), r.PathValue("what")
	known := false
	for _, e := range c.about.Endpoints {
		known = known || e.DataCenter == id
	}
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "there is no such data centre")
		return
	case what == "stop":
		c.hosp.Stop(id)
	case what == "start":
		if err := c.hosp.Start(id); err != nil {
			refuse(w, http.StatusConflict, "%s", err)
			return
		}
	default:
		refuse(w, http.StatusNotFound, "stop or start")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *control) store(w http.ResponseWriter, r *http.Request) {
	id, what := campus.StoreID(r.PathValue("id")), r.PathValue("what")
	known := false
	for _, e := range c.about.Endpoints {
		known = known || e.Store == id
	}
	if !known || (what != "down" && what != "up") {
		refuse(w, http.StatusNotFound, "a store of the list, and down or up")
		return
	}
	c.hosp.StoreDown(id, what == "down")
	w.WriteHeader(http.StatusNoContent)
}
