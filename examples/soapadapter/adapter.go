package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// adapter is an endpoint's way to the registration service: it receives the FHIR
// interactions of the his verbs and speaks SOAP. It stands below routing, health,
// retries and traces, so that each of its requests is one attempt.
//
// It offers what booking needs, and says 501 to the rest: read Slot and Schedule,
// search Slot by schedule, Patient and Appointment by identifier, Appointment by
// slot, and the transactions that book and cancel. A slot's version is its state,
// so If-Match holds: the service books only what is free.
type adapter struct {
	url    string
	client *http.Client
	issuer string // of patient numbers
}

func newAdapter(address, issuer string) *adapter {
	return &adapter{url: address, issuer: issuer, client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// RoundTrip answers one interaction, or says with its error what became of it.
func (a *adapter) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(req.Body, maxReply)); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	resource, status, err := a.serve(req, body)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return refuse(req, refused.code), nil
	case err != nil:
		return nil, err
	}
	return answer(req, status, resource), nil
}

// serve finds the interaction by its path below the base.
func (a *adapter) serve(req *http.Request, body []byte) (r4.Resource, int, error) {
	base, _ := url.Parse(a.url)
	path := strings.Trim(strings.TrimPrefix(req.URL.Path, base.Path), "/")
	query := req.URL.Query()
	if strings.HasSuffix(path, "/_search") {
		query, _ = url.ParseQuery(string(body))
	}
	typ, id, _ := strings.Cut(path, "/")
	ctx := req.Context()
	ask := func(q question) (*reply, error) { q.MessageID = hospital.NewNumber(); return a.ask(ctx, q) }
	switch {
	case req.Method == http.MethodPost && path == "":
		return a.transaction(ask, body)
	case req.Method == http.MethodPost && path == "Patient/_search" && only(query, "identifier"):
		issuer, number, _ := strings.Cut(query.Get("identifier"), "|")
		if issuer != a.issuer {
			return searchset(), http.StatusOK, nil // numbers of others are unknown here
		}
		r, err := ask(question{Action: "FindPatient", PatientNo: number})
		return searchset(a.patients(r)...), http.StatusOK, err
	case req.Method == http.MethodPost && path == "Appointment/_search" && only(query, "identifier"):
		system, number, _ := strings.Cut(query.Get("identifier"), "|")
		if system != his.DefaultBookingSystem {
			return searchset(), http.StatusOK, nil
		}
		r, err := ask(question{Action: "FindBooking", BookingNo: number})
		return searchset(appointments(r)...), http.StatusOK, err
	case req.Method == http.MethodGet && path == "Appointment" && only(query, "slot"):
		r, err := ask(question{Action: "FindBooking", SlotNo: strings.TrimPrefix(query.Get("slot"), "Slot/")})
		return searchset(appointments(r)...), http.StatusOK, err
	case req.Method == http.MethodGet && typ == "Slot" && id != "":
		return one(ask(question{Action: "FindSlot", SlotNo: id}))
	case req.Method == http.MethodGet && path == "Slot" && only(query, "schedule", "start", "status"):
		r, err := ask(question{Action: "FindSlot", Schedule: strings.TrimPrefix(query.Get("schedule"), "Schedule/")})
		if err != nil {
			return nil, 0, err
		}
		found, err := matching(r, query)
		return searchset(found...), http.StatusOK, err
	case req.Method == http.MethodGet && typ == "Schedule" && id != "":
		r, err := ask(question{Action: "FindSlot", Schedule: id})
		if err == nil && len(r.Slots) == 0 {
			err = &refusal{"NO_SUCH"}
		}
		return &r4.Schedule{ID: id, Meta: &r4.Meta{VersionId: "1"}}, http.StatusOK, err
	}
	return nil, 0, &refusal{"NOT_SUPPORTED"}
}

// only: the search is by the first parameter, and perhaps the others, and by no
// more: a parameter that was ignored would find other people's.
func only(query url.Values, by string, others ...string) bool {
	for name, values := range query {
		switch {
		case name == by && len(values) == 1 && values[0] != "":
		case !slices.Contains(others, name):
			return false
		}
	}
	return query.Has(by)
}

func one(r *reply, err error) (r4.Resource, int, error) {
	if err != nil {
		return nil, 0, err
	}
	if len(r.Slots) != 1 {
		return nil, 0, &refusal{"NO_SUCH"}
	}
	return slot(r.Slots[0]), http.StatusOK, nil
}

// transaction recognizes booking (a new Appointment) and cancelling (one put as cancelled).
func (a *adapter) transaction(ask func(question) (*reply, error), body []byte) (r4.Resource, int, error) {
	bundle, err := r4.Decode[*r4.Bundle](body)
	if err != nil || len(bundle.Entry) != 2 {
		return nil, 0, &refusal{"NOT_SUPPORTED"}
	}
	var wanted *r4.Slot
	var act *r4.Appointment
	var ifMatch string
	for i := range bundle.Entry {
		e := &bundle.Entry[i]
		switch r := e.Resource.(type) {
		case *r4.Slot:
			if wanted = r; e.Request != nil {
				ifMatch = e.Request.IfMatch
			}
		case *r4.Appointment:
			act = r
		}
	}
	if wanted == nil || act == nil || len(act.Participant) != 1 || act.Participant[0].Actor == nil {
		return nil, 0, &refusal{"NOT_SUPPORTED"}
	}
	number, _ := r4.IdentifierValue(act.Identifier, his.DefaultBookingSystem)
	q := question{SlotNo: wanted.ID, BookingNo: number}
	switch {
	case act.Status == r4.AppointmentStatusBooked && wanted.Status == r4.SlotStatusBusy:
		if ifMatch != `W/"free"` {
			return nil, 0, &refusal{"SLOT_TAKEN"} // it was seen in another state
		}
		q.Action, q.PatientNo = "Book", strings.TrimPrefix(act.Participant[0].Actor.Reference, "Patient/")
	case act.Status == r4.AppointmentStatusCancelled && wanted.Status == r4.SlotStatusFree:
		q.Action = "Cancel"
	default:
		return nil, 0, &refusal{"NOT_SUPPORTED"}
	}
	r, err := ask(q)
	if err != nil {
		return nil, 0, err
	}
	if len(r.Slots) != 1 || len(r.Bookings) != 1 || r.Slots[0].No != q.SlotNo || r.Bookings[0].No != number ||
		r.Bookings[0].SlotNo != q.SlotNo || (q.PatientNo != "" && r.Bookings[0].PatientNo != q.PatientNo) {
		return nil, 0, &stated{why: "an acknowledgement without its records, or with others"}
	}
	out := &r4.Bundle{Type: r4.BundleTypeTransactionResponse}
	for i := range bundle.Entry {
		if _, ok := bundle.Entry[i].Resource.(*r4.Slot); ok {
			out.Entry = append(out.Entry, done(slot(r.Slots[0]), "200"))
		} else {
			out.Entry = append(out.Entry, done(appointment(r.Bookings[0]), map[string]string{"Book": "201", "Cancel": "200"}[q.Action]))
		}
	}
	return out, http.StatusOK, nil
}

func done(r r4.Resource, status string) r4.BundleEntry {
	return r4.BundleEntry{Resource: r, Response: &r4.BundleEntryResponse{
		Status: status, Etag: fhir.ETag(r.ResourceMeta()), Location: r.ResourceType() + "/" + r.ResourceID(),
	}}
}

func slot(row slotRow) *r4.Slot {
	version := row.Status
	if row.BookingNo != "" {
		version += "-" + row.BookingNo
	}
	return &r4.Slot{
		ID: row.No, Meta: &r4.Meta{VersionId: version}, Status: row.Status, Start: row.Start, End: row.End,
		Schedule: r4.RefTo("Schedule", row.Schedule),
	}
}

// matching does what the service cannot: filter by time and status. What it does
// not understand, of the question or of the answer, is no "nothing there".
func matching(r *reply, query url.Values) ([]r4.Resource, error) {
	var out []r4.Resource
	for _, row := range r.Slots {
		span, err := r4.ParseTime(row.Start, nil)
		if err != nil {
			return nil, &stated{why: "a slot without a time that can be read"}
		}
		fits := true
		for _, bound := range query["start"] {
			if len(bound) < 3 {
				return nil, &refusal{"NOT_SUPPORTED"}
			}
			at, err := r4.ParseTime(bound[2:], nil)
			switch prefix := bound[:2]; {
			case err != nil || (prefix != "ge" && prefix != "lt"):
				return nil, &refusal{"NOT_SUPPORTED"}
			case prefix == "ge":
				fits = fits && !span.From.Before(at.From)
			default:
				fits = fits && span.From.Before(at.From)
			}
		}
		if status := query.Get("status"); status != "" {
			fits = fits && slices.Contains(strings.Split(status, ","), row.Status)
		}
		if fits {
			out = append(out, slot(row))
		}
	}
	return out, nil
}

func (a *adapter) patients(r *reply) []r4.Resource {
	var out []r4.Resource
	if r == nil {
		return nil
	}
	for _, row := range r.Patients {
		out = append(out, &r4.Patient{
			ID: row.No, Meta: &r4.Meta{VersionId: "1"}, Identifier: []r4.Identifier{{System: a.issuer, Value: row.No}},
			Name: []r4.HumanName{{Text: row.Name}}, BirthDate: row.Birth,
		})
	}
	return out
}

func appointments(r *reply) []r4.Resource {
	var out []r4.Resource
	if r == nil {
		return nil
	}
	for _, row := range r.Bookings {
		out = append(out, appointment(row))
	}
	return out
}

func appointment(row bookingRow) *r4.Appointment {
	return &r4.Appointment{
		ID: row.No, Meta: &r4.Meta{VersionId: row.Status, LastUpdated: row.Changed}, Status: row.Status,
		Identifier: []r4.Identifier{{System: his.DefaultBookingSystem, Value: row.No}},
		Slot:       []r4.Reference{*r4.RefTo("Slot", row.SlotNo)},
		Participant: []r4.AppointmentParticipant{{
			Actor: r4.RefTo("Patient", row.PatientNo), Status: r4.ParticipationStatusAccepted,
		}},
	}
}

func searchset(found ...r4.Resource) r4.Resource {
	b := &r4.Bundle{Type: r4.BundleTypeSearchset, Total: r4.Ptr(len(found))}
	for _, r := range found {
		b.Entry = append(b.Entry, r4.BundleEntry{Resource: r, Search: &r4.BundleEntrySearch{Mode: r4.SearchEntryModeMatch}})
	}
	return b
}

// refusals are the service's codes as FHIR says them.
var refusals = map[string]struct {
	status int
	issue  string
	detail string // a code of his.WithRefusals
}{
	"SLOT_TAKEN":    {http.StatusPreconditionFailed, r4.IssueTypeConflict, ""},
	"DUPLICATE":     {http.StatusPreconditionFailed, r4.IssueTypeDuplicate, ""},
	"BLACKLIST":     {http.StatusUnprocessableEntity, r4.IssueTypeBusinessRule, "blacklisted"},
	"QUOTA":         {http.StatusUnprocessableEntity, r4.IssueTypeBusinessRule, "quota-exceeded"},
	"NO_SUCH":       {http.StatusNotFound, r4.IssueTypeNotFound, ""},
	"NOT_SUPPORTED": {http.StatusNotImplemented, r4.IssueTypeNotSupported, ""},
}

func refuse(req *http.Request, code string) *http.Response {
	r, known := refusals[code]
	if !known {
		r.status, r.issue = http.StatusUnprocessableEntity, r4.IssueTypeProcessing
	}
	issue := r4.OperationOutcomeIssue{Severity: r4.IssueSeverityError, Code: r.issue}
	if r.detail != "" {
		issue.Details = r4.Concept("urn:hospital-go:refusal", r.detail)
	}
	return answer(req, r.status, &r4.OperationOutcome{Issue: []r4.OperationOutcomeIssue{issue}})
}

func answer(req *http.Request, status int, resource r4.Resource) *http.Response {
	data, err := r4.Marshal(resource)
	if err != nil { // it may have been done: an answer that is none says neither yes nor no
		status, data = http.StatusInternalServerError, nil
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {fhir.MediaType}}, ContentLength: int64(len(data)), Body: io.NopCloser(bytes.NewReader(data)),
	}
}
