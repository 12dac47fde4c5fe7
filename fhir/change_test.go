package fhir_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

func known() *r4.Patient { return &r4.Patient{ID: "1", Meta: &r4.Meta{VersionId: "3"}} }

var patching = fhir.NewDeclared(&r4.CapabilityStatement{PatchFormat: []string{fhir.PatchMediaType}, Rest: []r4.CapabilityStatementRest{{
	Mode: "server", Resource: []r4.CapabilityStatementRestResource{{Type: "Patient", Interaction: []r4.CapabilityStatementRestResourceInteraction{{Code: "patch"}}}},
}}})

// Each answer looks like a success and is not one, or like a failure and is not one.
func TestAnswersToChangesAreDoubted(t *testing.T) {
	t.Parallel()
	id := r4.Identifier{System: "s", Value: "7"}
	patch := func(c *fhir.Client) error {
		_, _, err := fhir.Patch(t.Context(), c, patching, known(), []fhir.PatchStep{{Op: "remove", Path: "/gender"}})
		return err
	}
	del := func(c *fhir.Client) error { _, err := fhir.Delete(t.Context(), c, known()); return err }
	updateIf := func(c *fhir.Client) error {
		_, _, err := fhir.UpdateIf(t.Context(), c, &r4.Organization{Identifier: []r4.Identifier{id}}, id)
		return err
	}
	vread := func(c *fhir.Client) error {
		_, _, err := fhir.VersionRead[*r4.Patient](t.Context(), c, "1", "3")
		return err
	}
	match := func(c *fhir.Client) error {
		_, _, err := fhir.Invoke[*r4.Bundle](t.Context(), c, fhir.Operation{Type: "Patient", Name: "match"})
		return err
	}
	anything := func(c *fhir.Client) error {
		_, _, err := fhir.Invoke[r4.Resource](t.Context(), c, fhir.Operation{Name: "process-message"})
		return err
	}
	outcome := func(severity string) string {
		return `{"resourceType":"OperationOutcome","issue":[{"severity":"` + severity + `","code":"processing"}]}`
	}
	absent := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}`
	for name, c := range map[string]struct {
		do     func(*fhir.Client) error
		answer string
		status int
		err    error
	}{
		"vread":                             {vread, `{"resourceType":"Patient","id":"1","meta":{"versionId":"3"}}`, 200, nil},
		"vread, another version":            {vread, `{"resourceType":"Patient","id":"1","meta":{"versionId":"4"}}`, 200, fhir.ErrUnexpected},
		"vread, no version":                 {vread, `{"resourceType":"Patient","id":"1"}`, 200, fhir.ErrUnexpected},
		"vread, another patient":            {vread, `{"resourceType":"Patient","id":"2","meta":{"versionId":"3"}}`, 200, fhir.ErrUnexpected},
		"patch":                             {patch, `{"resourceType":"Patient","id":"1"}`, 200, nil},
		"patch, another patient":            {patch, `{"resourceType":"Patient","id":"2"}`, 200, fhir.ErrUnexpected},
		"patch, an error as 200":            {patch, outcome("error"), 200, fhir.ErrUnexpected},
		"patch, somebody was first":         {patch, outcome("error"), 412, fhir.ErrPrecondition},
		"delete":                            {del, ``, 204, nil},
		"delete, says so":                   {del, outcome("information"), 200, nil},
		"delete, shows what it was":         {del, `{"resourceType":"Patient","id":"1"}`, 200, nil},
		"delete, gone already":              {del, outcome("error"), 410, nil},
		"delete, never there":               {del, absent, 404, nil},
		"delete, no such type":              {del, outcome("error"), 404, fhir.ErrNotFound},
		"delete, another's record":          {del, `{"resourceType":"Patient","id":"2"}`, 200, fhir.ErrUnexpected},
		"delete, an empty search":           {del, `{"resourceType":"Bundle","type":"searchset"}`, 200, fhir.ErrUnexpected},
		"delete, a gateway's 404":           {del, `<html>`, 404, fhir.ErrForeign},
		"delete, a bare 404":                {del, ``, 404, fhir.ErrForeign},
		"delete, an error dressed as 200":   {del, outcome("error"), 200, fhir.ErrUnexpected},
		"delete, later":                     {del, outcome("information"), 202, fhir.ErrUnexpected},
		"delete, refused":                   {del, outcome("error"), 409, fhir.ErrConflict},
		"conditional update":                {updateIf, `{"resourceType":"Organization","id":"9","identifier":[{"system":"s","value":"7"}]}`, 200, nil},
		"conditional update, somebody else": {updateIf, `{"resourceType":"Organization","id":"9","identifier":[{"system":"s","value":"8"}]}`, 200, fhir.ErrUnexpected},
		"conditional update, several":       {updateIf, outcome("error"), 412, fhir.ErrPrecondition},
		"operation":                         {match, `{"resourceType":"Bundle","type":"searchset"}`, 200, nil},
		"operation, another type":           {match, `{"resourceType":"Patient","id":"1"}`, 200, fhir.ErrUnexpected},
		"operation, nothing":                {match, ``, 204, fhir.ErrUnexpected},
		"operation, anything":               {anything, `{"resourceType":"Patient","id":"1"}`, 200, nil},
		"operation, anything: nothing":      {anything, ``, 204, nil},
		"operation, an error as 200":        {anything, outcome("fatal"), 200, fhir.ErrUnexpected},
		"operation, a page":                 {anything, `<html>`, 200, fhir.ErrForeign},
	} {
		s := &script{answers: []string{c.answer}, status: c.status}
		err := c.do(newClient(t, s))
		if c.err == nil {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, c.err, name)
		}
	}
}

func TestChangesThatAreNotSent(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), &script{answers: []string{""}}
	c := newClient(t, s)
	steps := []fhir.PatchStep{{Op: "remove", Path: "/gender"}}
	subset := known()
	subset.Meta.Tag = []r4.Coding{{Code: "SUBSETTED"}}
	_, _, update := fhir.Update(ctx, c, subset)
	_, _, create := fhir.Create(ctx, c, subset)
	_, _, undeclared := fhir.Patch(ctx, c, nil, known(), steps)
	_, _, otherType := fhir.Patch(ctx, c, patching, &r4.Slot{ID: "1", Meta: &r4.Meta{VersionId: "1"}}, steps)
	_, _, noSteps := fhir.Patch(ctx, c, patching, known(), nil)
	_, _, badJSON := fhir.Patch(ctx, c, patching, known(), []fhir.PatchStep{{Op: "add", Path: "/x", Value: []byte("{")}})
	_, _, noVersion := fhir.Patch(ctx, c, patching, &r4.Patient{ID: "1"}, steps)
	_, deleteNoVersion := fhir.Delete(ctx, c, &r4.Patient{ID: "1"})
	_, deleteNil := fhir.Delete(ctx, c, r4.Resource(nil))
	id := r4.Identifier{System: "s", Value: "7"}
	place := &r4.Organization{Identifier: []r4.Identifier{id}}
	part := *place
	part.Meta = subset.Meta
	_, _, noIdentifier := fhir.UpdateIf(ctx, c, place, r4.Identifier{Value: "7"})
	_, _, somebody := fhir.UpdateIf(ctx, c, &r4.Patient{Identifier: []r4.Identifier{id}}, id)
	_, _, notCarried := fhir.UpdateIf(ctx, c, &r4.Organization{}, id)
	_, _, inPart := fhir.UpdateIf(ctx, c, &part, id)
	_, _, unkeyed := fhir.CreateIfNone(ctx, c, &r4.ServiceRequest{}, id)
	_, _, postUnkeyed := fhir.Transaction(ctx, c, &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{fhir.Post(&r4.ServiceRequest{}, "", id)}})
	_, _, putInPart := fhir.Transaction(ctx, c, &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{fhir.Put(subset)}})
	_, _, elsewhere := fhir.Batch(ctx, c, &r4.Bundle{Type: "batch", Entry: []r4.BundleEntry{fhir.Get("https://evil.test/Patient/1")}})
	_, _, badStep := fhir.Patch(ctx, c, patching, known(), []fhir.PatchStep{{Op: "rem", Path: "/x"}})
	_, _, badPath := fhir.Patch(ctx, c, patching, known(), []fhir.PatchStep{{Op: "remove", Path: "x"}})
	_, _, noValue := fhir.Patch(ctx, c, patching, known(), []fhir.PatchStep{{Op: "add", Path: "/x"}})
	plainFormat := fhir.NewDeclared(&r4.CapabilityStatement{Rest: patching.Statement().Rest})
	_, _, noFormat := fhir.Patch(ctx, c, plainFormat, known(), steps)
	require.ErrorIs(t, noFormat, fhir.ErrNotDeclared)
	_, _, badName := fhir.Invoke[r4.Resource](ctx, c, fhir.Operation{Name: "../x"})
	_, _, idAlone := fhir.Invoke[r4.Resource](ctx, c, fhir.Operation{Name: "x", ID: "1"})
	_, _, noBatch := fhir.Batch(ctx, c, &r4.Bundle{Type: "transaction"})
	for name, err := range map[string]error{
		"update of a part": update, "create of a part": create, "no steps": noSteps, "no JSON": badJSON, "no version": noVersion,
		"delete without version": deleteNoVersion, "delete of nothing": deleteNil, "no identifier": noIdentifier, "operation name": badName,
		"operation on an id alone": idAlone, "no batch": noBatch, "somebody's number in the URL": somebody, "not carried": notCarried,
		"conditional update of a part": inPart, "a key it does not carry": unkeyed, "the same in a transaction": postUnkeyed,
		"a part in a transaction": putInPart, "a batch that leaves": elsewhere, "no step of the six": badStep, "no pointer": badPath, "no value": noValue,
	} {
		require.ErrorIs(t, err, fhir.ErrRequest, name)
	}
	require.ErrorIs(t, undeclared, fhir.ErrNotDeclared)
	require.ErrorIs(t, otherType, fhir.ErrNotDeclared)
	for _, err := range fhir.Search(ctx, c, fhir.For(fhir.ID[*r4.Patient]("a/b"))) {
		require.ErrorIs(t, err, fhir.ErrRequest)
	}
	assert.Empty(t, s.sent, "nothing of this may reach a server")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	history := func(links string, entries ...string) string {
		return `{"resourceType":"Bundle","type":"history","link":[` + links + `],"entry":[` + strings.Join(entries, ",") + `]}`
	}
	v := func(id, version string) string {
		return `{"resource":{"resourceType":"Patient","id":"` + id + `","meta":{"versionId":"` + version + `","lastUpdated":"2026-01-0` + version + `T08:00:00Z"}}}`
	}
	gone := `{"request":{"method":"DELETE","url":"Patient/1"},"response":{"status":"204","lastModified":"2026-01-09T08:00:00Z"}}`
	for name, c := range map[string]struct {
		answers []string
		want    []string
		err     error
	}{
		"pages":                             {[]string{history(next("?p=2"), gone, v("1", "2")), history("", v("1", "1"))}, []string{"gone 2026-01-09", "2 2026-01-02", "1 2026-01-01"}, nil},
		"none":                              {[]string{history("")}, nil, fhir.ErrIncomplete},
		"fewer than counted":                {[]string{strings.Replace(history("", v("1", "1")), `"type"`, `"total":2,"type"`, 1)}, []string{"1 2026-01-01"}, fhir.ErrIncomplete},
		"another's deletion":                {[]string{history("", strings.Replace(gone, "Patient/1", "Patient/2", 1))}, nil, fhir.ErrUnexpected},
		"a deletion, with what was deleted": {[]string{history("", strings.Replace(v("1", "1"), `{"resource"`, `{"request":{"method":"DELETE","url":"Patient/1"},"response":{"status":"204","lastModified":"2026-01-09T08:00:00Z"},"resource"`, 1))}, []string{"gone 2026-01-09"}, nil},
		"a version that failed":             {[]string{history("", strings.Replace(v("1", "1"), `{"resource"`, `{"response":{"status":"500"},"resource"`, 1))}, nil, fhir.ErrUnexpected},
		"numbers in entity tags":            {[]string{history("", `{"resource":{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-01-02T08:00:00Z","versionId":"2"}},"response":{"etag":"W/\"2\""}}`)}, []string{"2 2026-01-02"}, nil},
		"deletions without a time":          {[]string{history("", strings.Repeat(strings.ReplaceAll(gone, `,"lastModified":"2026-01-09T08:00:00Z"`, ``)+",", 2)+v("1", "1"))}, []string{"gone", "gone", "1 2026-01-01"}, nil},
		"a deletion by its whole URL":       {[]string{history("", strings.Replace(gone, `"url":"Patient/1"`, `"url":"https://his.test/fhir/Patient/1"`, 1))}, []string{"gone 2026-01-09"}, nil},
		"another patient":                   {[]string{history("", v("2", "1"))}, nil, fhir.ErrUnexpected},
		"nothing in it":                     {[]string{history("", `{"request":{"method":"PUT","url":"Patient/1"}}`)}, nil, fhir.ErrUnexpected},
		"a search":                          {[]string{page("")}, nil, fhir.ErrUnexpected},
		"a circle":                          {[]string{history(next("?p=2"), v("1", "2"))}, []string{"2 2026-01-02"}, fhir.ErrPageLost},
		"a link that leaves":                {[]string{history(next("https://evil.test/x"), v("1", "2"))}, []string{"2 2026-01-02"}, fhir.ErrLink},
		"the second is a page":              {[]string{history(next("?p=2"), v("1", "2")), "<html>"}, []string{"2 2026-01-02"}, fhir.ErrPageLost},
	} {
		var got []string
		var err error
		for version, e := range fhir.History[*r4.Patient](t.Context(), newClient(t, &script{answers: c.answers}), "1") {
			if err = e; e != nil {
				break
			}
			at := version.At[:min(10, len(version.At))]
			if version.Deleted {
				got = append(got, strings.TrimSpace("gone "+at))
			} else {
				got = append(got, version.Resource.Meta.VersionId+" "+at)
			}
		}
		assert.Equal(t, c.want, got, name)
		require.ErrorIs(t, err, c.err, name)
	}
}

func TestBatchResults(t *testing.T) {
	t.Parallel()
	batch := &r4.Bundle{Type: r4.BundleTypeBatch, Entry: []r4.BundleEntry{fhir.Get("Patient/1"), fhir.Put(known())}}
	answer := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"batch-response","entry":[` + strings.Join(entries, ",") + `]}`
	}
	patient := func(id string) string {
		return `{"resource":{"resourceType":"Patient","id":"` + id + `"},"response":{"status":"200"}}`
	}
	refused := `{"response":{"status":"412 Precondition Failed","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"conflict"}]}}}`
	for name, c := range map[string]struct {
		answer string
		errs   []error
	}{
		"both":                     {answer(patient("1"), patient("1")), []error{nil, nil}},
		"one is refused":           {answer(patient("1"), refused), []error{nil, fhir.ErrPrecondition}},
		"refused, bare":            {answer(`{"response":{"status":"404"}}`, patient("1")), []error{fhir.ErrNotFound, nil}},
		"another patient":          {answer(patient("2"), patient("2")), []error{fhir.ErrUnexpected, fhir.ErrUnexpected}},
		"no response":              {answer(`{}`, patient("1")), []error{fhir.ErrUnexpected, nil}},
		"no status":                {answer(`{"response":{"status":""}}`, `{"response":{"status":"2xx"}}`), []error{fhir.ErrUnexpected, fhir.ErrUnexpected}},
		"an error as its resource": {answer(`{"response":{"status":"200"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x"}]}}`, `{"response":{"status":"200"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x"}]}}`), []error{fhir.ErrUnexpected, fhir.ErrUnexpected}},
		"an error as a 200":        {answer(`{"response":{"status":"200","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x"}]}}}`, patient("1")), []error{fhir.ErrUnexpected, nil}},
		"empty reads":              {answer(`{"response":{"status":"200"}}`, patient("1")), []error{fhir.ErrUnexpected, nil}},
	} {
		results, _, err := fhir.Batch(t.Context(), newClient(t, &script{answers: []string{c.answer}}), batch)
		require.NoError(t, err, name)
		for i, want := range c.errs {
			require.ErrorIs(t, results[i].Err, want, name)
			assert.Equal(t, want == nil, results[i].Resource != nil, "%s: a resource only with a success", name)
		}
	}
	for _, bad := range []string{answer(patient("1")), answer(), `{"resourceType":"Bundle","type":"transaction-response"}`} {
		_, _, err := fhir.Batch(t.Context(), newClient(t, &script{answers: []string{bad}}), batch)
		require.ErrorIs(t, err, fhir.ErrUnexpected)
	}
}

// What a GET of a batch asked for and what came.
func TestBatchReadsAreDoubted(t *testing.T) {
	t.Parallel()
	patient := `{"resourceType":"Patient","id":"1","meta":{"versionId":"3"}}`
	other := `{"resourceType":"Patient","id":"2","meta":{"versionId":"3"}}`
	found := func(list string) string { return `{"resourceType":"Bundle","type":"searchset","entry":[` + list + `]}` }
	for _, c := range []struct {
		path, resource string
		ok             bool
	}{
		{"Patient/1", patient, true},
		{"/Patient/1", patient, true},
		{"Patient/1/", patient, true},
		{"Patient/1?_elements=name", patient, true},
		{"/Patient/1", other, false},
		{"Patient/1/", other, false},
		{"Patient/1?_elements=name", other, false},
		{"Patient/1?_format=json", other, false},
		{"Patient/1/_history/3", patient, true},
		{"Patient/1/_history/2", patient, false},
		{"Patient/1/_history/3", other, false},
		{"Patient/1/_history", `{"resourceType":"Bundle","type":"history"}`, true},
		{"Patient/1/_history", patient, false},
		{"Patient?name=x", found(`{"resource":` + patient + `}`), true},
		{"Observation?patient=Patient/1", found(""), true},
		{"Observation?patient=Patient/1", found(`{"resource":` + patient + `}`), false},
		{"Observation?patient=1", patient, false},
		{"Observation?patient=1", found(`{"search":{"mode":"include"},"resource":` + patient + `}`), true},
		{"Patient/1/$everything", patient, true},
		{"metadata", `{"resourceType":"CapabilityStatement"}`, true},
		{"Patient/1", "", false},
		{"Patient?name=x", "", false},
		{"Patient/1/$everything", "", false},
		{"Patient/1/_history/3", "", false},
	} {
		entry := `{"response":{"status":"200"}}`
		if c.resource != "" {
			entry = `{"response":{"status":"200"},"resource":` + c.resource + `}`
		}
		s := &script{answers: []string{`{"resourceType":"Bundle","type":"batch-response","entry":[` + entry + `]}`}}
		results, _, err := fhir.Batch(t.Context(), newClient(t, s), &r4.Bundle{Type: "batch", Entry: []r4.BundleEntry{fhir.Get(c.path)}})
		require.NoError(t, err)
		assert.Equal(t, c.ok, results[0].Err == nil, "%s answered with %s", c.path, c.resource)
		if c.ok && strings.Contains(c.path, "_elements") {
			_, _, err = fhir.Update(t.Context(), newClient(t, s), results[0].Resource)
			require.ErrorIs(t, err, fhir.ErrRequest, "a part is not written back")
		}
	}
	writes := &r4.Bundle{Type: "batch", Entry: []r4.BundleEntry{fhir.Put(known()), {Request: &r4.BundleEntryRequest{Method: "DELETE", URL: "Patient/1"}}}}
	s := &script{answers: []string{`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200"},"resource":{"resourceType":"Observation","id":"1"}},{"response":{"status":"410"}}]}`}}
	results, _, err := fhir.Batch(t.Context(), newClient(t, s), writes)
	require.NoError(t, err)
	require.ErrorIs(t, results[0].Err, fhir.ErrUnexpected, "another type")
	require.NoError(t, results[1].Err, "gone is what was wanted")
}

// What answers a write in a Bundle is what its URL names; what was sent may be a
// patch, or an operation's input.
func TestBundleWritesAreDoubted(t *testing.T) {
	t.Parallel()
	patient := func(id string) string { return `{"resourceType":"Patient","id":"` + id + `"}` }
	for name, c := range map[string]struct {
		method, url string
		sent        r4.Resource
		answer      string
		ok          bool
	}{
		"a patch":                  {"PATCH", "Patient/1", &r4.Binary{ContentType: fhir.PatchMediaType}, patient("1"), true},
		"a patch of another":       {"PATCH", "Patient/1", &r4.Binary{ContentType: fhir.PatchMediaType}, patient("2"), false},
		"an operation":             {"POST", "Patient/$match", &r4.Parameters{}, `{"resourceType":"Bundle","type":"searchset"}`, true},
		"a put":                    {"PUT", "/Patient/1", known(), patient("1"), true},
		"a put of another":         {"PUT", "/Patient/1", known(), patient("2"), false},
		"a post of another type":   {"POST", "Observation", &r4.Observation{}, patient("1"), false},
		"a conditional put":        {"PUT", "Organization?identifier=s|7", &r4.Organization{}, `{"resourceType":"Organization","id":"9"}`, true},
		"a search by POST":         {"POST", "Patient/_search", nil, `{"resourceType":"Bundle","type":"searchset"}`, true},
		"what it says of a create": {"POST", "Observation", &r4.Observation{}, `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`, true},
	} {
		bundle := &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{{Resource: c.sent, Request: &r4.BundleEntryRequest{Method: c.method, URL: c.url}}}}
		s := &script{answers: []string{`{"resourceType":"Bundle","type":"transaction-response","entry":[{"response":{"status":"200"},"resource":` + c.answer + `}]}`}}
		_, _, err := fhir.Transaction(t.Context(), newClient(t, s), bundle)
		assert.Equal(t, c.ok, err == nil, "%s: %v", name, err)
		bundle.Type = "batch"
		s = &script{answers: []string{strings.Replace(s.answers[0], "transaction", "batch", 1)}}
		results, _, err := fhir.Batch(t.Context(), newClient(t, s), bundle)
		require.NoError(t, err, name)
		assert.Equal(t, c.ok, results[0].Err == nil, "%s: %v", name, results[0].Err)
	}
}

// A document is found by its master identifier too.
func TestMasterIdentifierIsAKey(t *testing.T) {
	t.Parallel()
	id := r4.Identifier{System: "s", Value: "7"}
	s := &script{answers: []string{`{"resourceType":"DocumentReference","id":"1"}`}, status: 201}
	_, _, err := fhir.CreateIfNone(t.Context(), newClient(t, s), &r4.DocumentReference{MasterIdentifier: &id}, id)
	require.NoError(t, err)
}

// What came in part is marked, whatever the server says of it, and never written.
func TestPartsAreNotWrittenBack(t *testing.T) {
	t.Parallel()
	answer := `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Organization","id":"9","name":"x"}},` +
		`{"search":{"mode":"include"},"resource":{"resourceType":"Location","id":"8","meta":{"versionId":"1"}}}]}`
	s := &script{answers: []string{answer}}
	c := newClient(t, s)
	id := r4.Identifier{System: "s", Value: "7"}
	for page, err := range fhir.Search(t.Context(), c, fhir.For(fhir.Elements[*r4.Organization]("name"))) {
		require.NoError(t, err)
		org, err := r4.As[*r4.Organization](page.Matches[0])
		require.NoError(t, err)
		org.Identifier = []r4.Identifier{id}
		_, _, update := fhir.UpdateIf(t.Context(), c, org, id)
		_, _, create := fhir.CreateAs(t.Context(), c, org)
		_, _, included := fhir.Update(t.Context(), c, page.Included[0])
		for _, err := range []error{update, create, included} {
			require.ErrorIs(t, err, fhir.ErrRequest)
		}
	}
	assert.Len(t, s.sent, 1)
}

// The self link in other words is the same search; in others it is another.
func TestSelfLinkInOtherWords(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 5, 8, 0, 0, 0, time.FixedZone("", 8*60*60))
	q := fhir.For(fhir.ObservationPatient.Is("1001"), fhir.ObservationCategory.In("laboratory", "exam"), fhir.ObservationDate.From(at), fhir.Newest(fhir.ObservationDate))
	const date = "&date=ge2026-01-05T08:00:00%2B08:00&_sort=-date"
	for link, want := range map[string]error{
		"Observation?patient=Patient/1001&category=laboratory,exam" + date:                                                        nil,
		"Observation?patient=https://his.test/fhir/Patient/1001&category=exam,laboratory&date=ge2026-01-05T00:00:00Z&_sort=-date": nil,
		"?patient=1001&category=laboratory,exam&_count=20" + date:                                                                 nil,
		"Observation?patient=Patient/2002&category=laboratory,exam" + date:                                                        fhir.ErrFilterIgnored,
		"Observation?patient=&category=laboratory,exam" + date:                                                                    fhir.ErrFilterIgnored,
		"Observation?patient=Patient/1001&category=laboratory" + date:                                                             fhir.ErrFilterIgnored,
		"Observation?patient=Patient/1001&category=laboratory,exam&date=&_sort=-date":                                             fhir.ErrFilterIgnored,
		"Observation?patient=Patient/1001&category=laboratory,exam&date=ge2026-01-06T08:00:00Z&_sort=-date":                       fhir.ErrFilterIgnored,
		"Observation?patient=Patient/1001&category=laboratory,exam&date=ge2026-01-05T00:00:00Z":                                   fhir.ErrFilterIgnored,
		"Condition?patient=Patient/1001&category=laboratory,exam" + date:                                                          fhir.ErrFilterIgnored,
	} {
		s := &script{answers: []string{strings.ReplaceAll(page(self("https://his.test/fhir/"+link)), `"Slot"`, `"Observation"`)}}
		for _, err := range fhir.Search(t.Context(), newClient(t, s), q) {
			require.ErrorIs(t, err, want, link)
		}
	}
}

// The ways in which real servers write the same search, and those that are another.
func TestSelfLinksOfManyServers(t *testing.T) {
	t.Parallel()
	get := func(name, value string) fhir.Query { return fhir.For(fhir.Raw[*r4.Slot](name, value, false)) }
	post := func(q fhir.Query) fhir.Query { q.Post = true; return q }
	for _, c := range []struct {
		q    fhir.Query
		link string
		ok   bool
	}{
		{get("status", "free"), "http://10.0.0.1/FHIR?status=free", true},
		{get("status", "free"), "http://10.0.0.1/Api/R4/?status=free", true},
		{get("schedule", "1"), "Slot?schedule=Schedule/1", true},
		{get("schedule", "Schedule/1"), "Slot?schedule:Schedule=1", true},
		{get("schedule", "https://x.test/fhir/Schedule/1"), "Slot?schedule=Schedule/1", true},
		{get("schedule", "Schedule/1"), "Slot?schedule=Location/1", false},
		{get("identifier", "s|A+B"), "Slot?identifier=s%7CA+B", true},
		{get("identifier", "s|A;B"), "Slot?identifier=s%7CA;B", true},
		{get("start", "2026-01-01"), "Slot?start=eq2026-01-01", true},
		{get("start", "eq2026-01-01"), "Slot?start=2026-01-01", true},
		{get("start", "2026-01"), "Slot?start=2026-01-01", false},
		{get("start", "le2026-01-01"), "Slot?start=le2026-01-01T00:00:00Z", false},
		{get("start", "ge2026-01-01T00:00:00Z"), "Slot?start=ge2026-01-01T08:00:00+08:00", true},
		{get("_id", "AbC"), "Slot?_id=abc", false},
		{get("status:not", "free"), "Slot?status=free", false},
		{post(get("status:not", "free")), "Slot/_search?status=free", false},
		{post(fhir.For(fhir.Identifier[*r4.Slot]("s", "1"), fhir.SlotSchedule.Include())), "Slot/_search?_include=Slot:schedule", true},
	} {
		s := &script{answers: []string{page(self(c.link), "1")}}
		for _, err := range fhir.Search(t.Context(), newClient(t, s), c.q) {
			assert.Equal(t, c.ok, err == nil, "%v %s: %v", c.q.Params, c.link, err)
		}
	}
}

func TestFiltersMakeTheStandardsSearches(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 5, 8, 0, 0, 0, time.FixedZone("", 8*60*60))
	for want, q := range map[string]fhir.Query{
		"GET Slot schedule=Schedule/1 start=ge2026-01-05T08:00:00+08:00 start=lt2026-01-05T09:00:00+08:00 status=free,busy": fhir.For(
			fhir.SlotSchedule.Is("1"), fhir.SlotStart.From(at), fhir.SlotStart.Before(at.Add(time.Hour)), fhir.SlotStatus.In("free", "busy")),
		"POST Encounter patient:Patient.identifier=s|7":                     fhir.For(fhir.EncounterPatient.Where(fhir.Identifier[*r4.Patient]("s", "7"))),
		"GET Patient _has:Observation:patient:code=http://loinc.org|6690-2": fhir.For(fhir.Has(fhir.ObservationPatient, fhir.ObservationCode.Is("http://loinc.org", "6690-2"))),
		"GET PractitionerRole _include=PractitionerRole:practitioner":       fhir.For(fhir.PractitionerRolePractitioner.Include()),
		"GET Observation _revinclude=DiagnosticReport:result":               fhir.For(fhir.IncludeReferring(fhir.DiagnosticReportResult)),
		"GET Observation _count=10 _elements=code,valueQuantity _sort=-date": fhir.For(fhir.Newest(fhir.ObservationDate),
			fhir.Elements[*r4.Observation]("code", "valueQuantity"), fhir.Count[*r4.Observation](10)),
		"POST Observation _has:Patient:x:identifier=s|7": fhir.For(fhir.Has(fhir.RefParam[*r4.Patient, *r4.Observation]("x"), fhir.Identifier[*r4.Patient]("s", "7"))),
		"POST Patient name=张":                            fhir.For(fhir.PatientName.Is("张")),
		"GET Slot schedule=Schedule/1,Schedule/2":        fhir.For(fhir.SlotSchedule.In("1", "2")),
		"GET Task x:y=z":                                 fhir.For(fhir.Raw[*r4.Task]("x:y", "z", false)),
	} {
		got := "GET "
		if q.Post {
			got = "POST "
		}
		var params []string
		for name, values := range q.Params {
			for _, v := range values {
				params = append(params, name+"="+v)
			}
		}
		slices.Sort(params)
		assert.Equal(t, want, got+q.Type+" "+strings.Join(params, " "))
	}
}

// What cannot be sent as it is is not sent at all.
func TestFiltersRefuseWhatWouldChangeTheSearch(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]fhir.Query{
		"a comma in a number": fhir.For(fhir.Identifier[*r4.Patient]("s", "1,2")), "no system": fhir.For(fhir.Identifier[*r4.Patient]("", "1")),
		"no id": fhir.For(fhir.SlotSchedule.Is("")), "an id that climbs": fhir.For(fhir.SlotSchedule.Is("../x")),
		"no ids": fhir.For(fhir.SlotSchedule.In()), "one id that climbs": fhir.For(fhir.SlotSchedule.In("1", "../x")),
		"no codes": fhir.For(fhir.SlotStatus.In()), "a code with a comma": fhir.For(fhir.SlotStatus.In("free,busy")),
		"no time": fhir.For(fhir.SlotStart.From(time.Time{})), "an empty name": fhir.For(fhir.PatientName.Is("")),
		"chained":              fhir.For(fhir.EncounterPatient.Where(fhir.Identifier[*r4.Patient]("s", "a|b"))),
		"reversed":             fhir.For(fhir.Has(fhir.ObservationPatient, fhir.ObservationCode.Is("s", ""))),
		"a control in a chain": fhir.For(fhir.EncounterPatient.Where(fhir.Count[*r4.Patient](1))),
		"pages of nothing":     fhir.For(fhir.Count[*r4.Slot](0)), "a summary of nothing": fhir.For(fhir.Summary[*r4.Slot]("count")),
	} {
		s := &script{answers: []string{page("")}}
		for _, err := range fhir.Search(t.Context(), newClient(t, s), q) {
			require.ErrorIs(t, err, fhir.ErrRequest, name)
		}
		assert.Empty(t, s.sent, name)
	}
}

// Every typed parameter is one of the standard, on that type, of that kind.
func TestParamsAreTheStandards(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("HOSPITAL_R4_PACKAGE")
	if dir == "" {
		t.Skip("skipped: HOSPITAL_R4_PACKAGE names no folder with the standard's SearchParameters")
	}
	files, err := filepath.Glob(filepath.Join(dir, "SearchParameter-*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	standard := map[string]string{} // "Slot.status" to its type
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		p := decodeParameter(t, data)
		for _, base := range p.Base {
			standard[base+"."+p.Code] = p.Type
		}
	}
	source, err := os.ReadFile("params.go")
	require.NoError(t, err)
	kinds := map[string]string{"RefParam": "reference", "TimeParam": "date", "TokenParam": "token", "TextParam": "string"}
	found := paramLine.FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(found), 40)
	for _, m := range found {
		kind, typ, name := m[1], m[2], m[3]
		got, known := standard[typ+"."+name]
		require.True(t, known, "%s has no %s", typ, name)
		if want := kinds[kind]; want != "" {
			assert.Equal(t, want, got, "%s.%s", typ, name)
		}
	}
}

var paramLine = regexp.MustCompile(`(\w+Param)\[\*r4\.(\w+)[^\]]*\]\s*= "([\w-]+)"`)

type searchParameter struct {
	Code, Type string
	Base       []string
}

func decodeParameter(t *testing.T, data []byte) searchParameter {
	t.Helper()
	var p searchParameter
	require.NoError(t, json.Unmarshal(data, &p))
	return p
}

// Whatever a server answers, nothing panics, nothing is another's, and no request
// leaves the server.
func FuzzChangeAnswers(f *testing.F) {
	f.Add(`{"resourceType":"Bundle","type":"history","link":[{"relation":"next","url":"?p=2"}],"entry":[{"resource":{"resourceType":"Patient","id":"1"}}]}`)
	f.Add(`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200 OK"},"resource":{"resourceType":"Patient","id":"1"}},{"response":{"status":"404"}}]}`)
	f.Add(`{"resourceType":"Patient","id":"1","meta":{"versionId":"3"},"identifier":[{"system":"s","value":"7"}]}`)
	f.Add(`{"resourceType":"CapabilityStatement","rest":[{"mode":"server","resource":[{"type":"Patient","interaction":[{"code":"patch"}]}]}],"patchFormat":["json"]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		ctx, s := t.Context(), &script{answers: []string{answer, answer, `{"resourceType":"Bundle","type":"history"}`}}
		c := newClient(t, s)
		for v, err := range fhir.History[*r4.Patient](ctx, c, "1") {
			if err == nil && !v.Deleted && v.Resource.ID != "1" {
				t.Fatal("another's version")
			}
		}
		if p, _, err := fhir.VersionRead[*r4.Patient](ctx, c, "1", "3"); err == nil && (p.ID != "1" || p.Meta.VersionId != "3") {
			t.Fatal("another version")
		}
		results, _, err := fhir.Batch(ctx, c, &r4.Bundle{Type: r4.BundleTypeBatch, Entry: []r4.BundleEntry{fhir.Get("Patient/1"), fhir.Put(known())}})
		if err == nil && (len(results) != 2 || (results[0].Err == nil && results[0].Resource.ResourceID() != "1")) {
			t.Fatal("another's entry")
		}
		if statement, _, err := fhir.Capabilities(ctx, c); err == nil {
			_, _, _ = fhir.Patch(ctx, c, fhir.NewDeclared(statement), known(), []fhir.PatchStep{{Op: "remove", Path: "/x"}})
		}
		_, _ = fhir.Delete(ctx, c, known())
		for _, req := range s.sent {
			if leaves(req.URL) {
				t.Fatal("a request left the server")
			}
		}
	})
}
