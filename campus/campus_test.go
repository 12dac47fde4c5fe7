package campus_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
)

// group is a small sound description that cases change.
func group() campus.Description {
	return campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		DataCenters: []campus.DataCenter{
			{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}, {ID: "dr", Role: campus.Standby},
		},
		Environments: []campus.Environment{{ID: "A"}, {ID: "B"}},
		Campuses: []campus.Campus{
			{ID: "hankou", Organization: "group", Home: "dc-a", Environment: "A"},
			{ID: "guanggu", Organization: "group", Home: "dc-b", Environment: "B"},
		},
		Systems: []campus.System{{ID: campus.HIS}},
		Stores:  []campus.Store{{ID: "his"}, {ID: "his-dr", ReplicaOf: "his", Lag: time.Minute}},
		Endpoints: []campus.Endpoint{
			{System: campus.HIS, DataCenter: "dr", Environment: "A", Store: "his-dr", URL: "https://dr.test/fhir", Readable: true},
			{System: campus.HIS, DataCenter: "dc-b", Environment: "A", Store: "his", URL: "https://b.test/fhir"},
			{System: campus.HIS, DataCenter: "dc-a", Environment: "A", Store: "his", URL: "https://a.test/fhir", Aliases: []string{"https://his.test"}},
			{System: campus.HIS, DataCenter: "dc-a", Environment: "B", Store: "his", URL: "https://a.test:8443/fhir/"},
		},
	}
}

func ids(route campus.Route) []string {
	var out []string
	for _, hop := range route {
		out = append(out, fmt.Sprintf("%d %s", hop.Tier, hop.Endpoint.ID))
	}
	return out
}

func TestRoute(t *testing.T) {
	t.Parallel()
	topology, err := campus.New(group())
	require.NoError(t, err)
	for name, c := range map[string]struct {
		campus campus.ID
		kind   campus.Kind
		want   []string
	}{
		"read: home, peer, other environment, standby": {"hankou", campus.ReadAny, []string{"0 his/dc-a/A", "0 his/dc-b/A", "1 his/dc-a/B", "2 his/dr/A"}},
		"strong read: never the copy":                  {"hankou", campus.ReadStrong, []string{"0 his/dc-a/A", "0 his/dc-b/A", "1 his/dc-a/B"}},
		"write: both doors":                            {"hankou", campus.Write, []string{"0 his/dc-a/A", "0 his/dc-b/A", "1 his/dc-a/B"}},
		"another campus, its own environment first":    {"guanggu", campus.Write, []string{"0 his/dc-a/B", "1 his/dc-b/A", "1 his/dc-a/A"}},
	} {
		route, err := topology.Route(campus.HIS, c.campus, c.kind)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, ids(route), name)
	}
	_, err = topology.Route(campus.HIS, "moon", campus.Write)
	require.ErrorIs(t, err, campus.ErrUnknownCampus)
	_, err = topology.Route("erp", "hankou", campus.Write)
	require.ErrorIs(t, err, campus.ErrUnknownSystem)
}

func TestRouteAllocatesNothing(t *testing.T) {
	topology, err := campus.New(group())
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = topology.Route(campus.HIS, "hankou", campus.Write) }))
}

func TestWriters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *campus.Description)
		want   []string
	}{
		"one named writer": {func(d *campus.Description) { d.Stores[0].Writers = []campus.DataCenterID{"dc-b"} }, []string{"0 his/dc-b/A"}},
		"standby promoted": {func(d *campus.Description) {
			d.Stores[0] = campus.Store{ID: "his", ReplicaOf: "his-dr"}
			d.Stores[1] = campus.Store{ID: "his-dr", Writers: []campus.DataCenterID{"dr"}, Epoch: 2}
		}, []string{"0 his/dr/A"}},
		"a campus of its own": {func(d *campus.Description) { d.Endpoints[2].Campuses = []campus.ID{"guanggu"} }, []string{"0 his/dc-b/A", "1 his/dc-a/B"}},
	} {
		d := group()
		c.change(&d)
		topology, err := campus.New(d)
		require.NoError(t, err, name)
		route, err := topology.Route(campus.HIS, "hankou", campus.Write)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, ids(route), name)
	}
}

// A copy that took over as writer: the old original must not answer strong reads,
// and both must never be written.
func TestOneWriterPerLineage(t *testing.T) {
	t.Parallel()
	d := group()
	d.Stores[1].Writers = []campus.DataCenterID{"dr"}
	_, err := campus.New(d)
	require.ErrorContains(t, err, "one the copy of the other")

	d.Stores[0] = campus.Store{ID: "his", ReplicaOf: "his-dr"}
	d.Stores[1] = campus.Store{ID: "his-dr", Writers: []campus.DataCenterID{"dr"}}
	topology, err := campus.New(d)
	require.NoError(t, err)
	route, err := topology.Route(campus.HIS, "hankou", campus.ReadStrong)
	require.NoError(t, err)
	assert.Equal(t, []string{"0 his/dr/A"}, ids(route))
}

func TestNoEndpoint(t *testing.T) {
	t.Parallel()
	d := group()
	d.Endpoints = d.Endpoints[:1]
	topology, err := campus.New(d)
	require.NoError(t, err)
	_, err = topology.Route(campus.HIS, "hankou", campus.Write)
	require.ErrorIs(t, err, campus.ErrNoEndpoint, "a standby is not written, even with nothing else")
}

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	for place, change := range map[string]func(d *campus.Description){
		"campuses": func(d *campus.Description) { d.Campuses = nil },
		"organizations[1].id": func(d *campus.Description) {
			d.Organizations = append(d.Organizations, campus.Organization{ID: "group"})
		},
		"campuses[0].organization":   func(d *campus.Description) { d.Campuses[0].Organization = "moon" },
		"campuses[0].home":           func(d *campus.Description) { d.Campuses[0].Home = "dr" },
		"campuses[0].environment":    func(d *campus.Description) { d.Campuses[0].Environment = "" },
		"campuses[0].id":             func(d *campus.Description) { d.Campuses[0].ID = "han kou" },
		"datacenters[0].role":        func(d *campus.Description) { d.DataCenters[0].Role = "main" },
		"systems[0].campusBy.in":     func(d *campus.Description) { d.Systems[0].CampusBy.In = "cookie" },
		"systems[0].campusBy.name":   func(d *campus.Description) { d.Systems[0].CampusBy.In = "header" },
		"systems[0].id":              func(d *campus.Description) { d.Systems[0].ID = "a/b" },
		"stores[1].writers[0]":       func(d *campus.Description) { d.Stores[1].Writers = []campus.DataCenterID{"dc-b"} },
		"systems[0].campusBy.values": func(d *campus.Description) { d.Systems[0].CampusBy.Values = map[campus.ID]string{"moon": "1"} },
		"stores[1].replicaOf":        func(d *campus.Description) { d.Stores[1].ReplicaOf = "moon" },
		"stores[0].replicaOf":        func(d *campus.Description) { d.Stores[0].ReplicaOf = "his" },
		"stores[1].lag":              func(d *campus.Description) { d.Stores[1].Lag = -1 },
		"stores[0].epoch":            func(d *campus.Description) { d.Stores[0].Epoch = -1 },
		"stores[0].writers[0]":       func(d *campus.Description) { d.Stores[0].Writers = []campus.DataCenterID{"moon"} },
		"endpoints[1].system":        func(d *campus.Description) { d.Endpoints[1].System = "erp" },
		"endpoints[1].datacenter":    func(d *campus.Description) { d.Endpoints[1].DataCenter = "" },
		"endpoints[2].store": func(d *campus.Description) {
			d.Stores = append(d.Stores, campus.Store{ID: "other"})
			d.Endpoints[2].Store = "other"
		},
		"endpoints[1].environment":                func(d *campus.Description) { d.Endpoints[1].Environment = "C" },
		"endpoints[1].campuses[0]":                func(d *campus.Description) { d.Endpoints[1].Campuses = []campus.ID{"moon"} },
		"endpoints[1].url":                        func(d *campus.Description) { d.Endpoints[1].URL = "b.test/fhir" },
		"endpoints[2].url":                        func(d *campus.Description) { d.Endpoints[2].URL = "https://user:secret@a.test/fhir" },
		"endpoints[3].url":                        func(d *campus.Description) { d.Endpoints[3].URL = "http://10.1.2.3/fhir" },
		"endpoints[0].url":                        func(d *campus.Description) { d.Endpoints[0].URL = "https://dr.test/fhir?tenant=1" },
		"endpoints[2].aliases[0]":                 func(d *campus.Description) { d.Endpoints[2].Aliases[0] = "/fhir" },
		"endpoints[1].contract.conditionalCreate": func(d *campus.Description) { d.Endpoints[1].Contract.ConditionalCreate = "sometimes" },
		"endpoints[1].contract.serverTimeout":     func(d *campus.Description) { d.Endpoints[1].Contract.ServerTimeout = -1 },
		"endpoints[1].contract.notExecuted[0]":    func(d *campus.Description) { d.Endpoints[1].Contract.NotExecuted = []int{200} },
		"campuses[0].patientIssuer":               func(d *campus.Description) { d.Campuses[0].PatientIssuer = "urn:a|b" },
		"endpoints[1].dicomweb.patientIssuer":     func(d *campus.Description) { d.Endpoints[1].DICOMweb.PatientIssuer = "a,b" },
		"endpoints[1].dicomweb.accessionIssuer":   func(d *campus.Description) { d.Endpoints[1].DICOMweb.AccessionIssuer = strings.Repeat("a", 257) },
		"endpoints[1].dicomweb.issuerNames": func(d *campus.Description) { // two issuers of one name
			d.Endpoints[1].DICOMweb.IssuerNames = map[string]string{"urn:a": "HK", "urn:b": "HK"}
		},
		"endpoints[2].dicomweb.issuerNames": func(d *campus.Description) { // one's name is another
			d.Endpoints[2].DICOMweb.IssuerNames = map[string]string{"urn:a": "urn:b", "urn:b": "B"}
		},
		"endpoints[3].dicomweb.issuerNames": func(d *campus.Description) { d.Endpoints[3].DICOMweb.IssuerNames = map[string]string{"urn:a": ""} },
		"endpoints[3].id":                   func(d *campus.Description) { d.Endpoints[3].ID = "his/dc-a/A" },
	} {
		d := group()
		change(&d)
		_, err := campus.New(d)
		require.ErrorIs(t, err, campus.ErrInvalid, place)
		var faults campus.Faults
		require.ErrorAs(t, err, &faults)
		places := make([]string, 0, len(faults))
		for _, f := range faults {
			places = append(places, f.Place)
		}
		assert.Contains(t, places, place)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestNewReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	d := group()
	d.Campuses[0].Home, d.Stores[1].Lag, d.Endpoints[1].URL = "moon", -1, ""
	_, err := campus.New(d)
	var faults campus.Faults
	require.ErrorAs(t, err, &faults)
	assert.Len(t, faults, 3)
}

func TestTopologyDoesNotShareItsInput(t *testing.T) {
	t.Parallel()
	d := group()
	topology, err := campus.New(d)
	require.NoError(t, err)
	d.Endpoints[2].Aliases[0], d.Endpoints[2].ID = "https://evil.test", "evil"
	e := topology.Endpoints()[2]
	assert.Equal(t, campus.EndpointID("his/dc-a/A"), e.ID)
	assert.Equal(t, "https://his.test", e.Aliases[0])
}

func TestRebase(t *testing.T) {
	t.Parallel()
	topology, err := campus.New(group())
	require.NoError(t, err)
	e := topology.Endpoints()[2]
	for link, want := range map[string]string{
		"https://a.test/fhir?page=2":             "https://a.test/fhir?page=2",
		"https://A.TEST:443/fhir/Patient/1":      "https://a.test/fhir/Patient/1",
		"https://his.test/Patient/1?x=%7C":       "https://a.test/fhir/Patient/1?x=%7C",
		"https://a.test/fhir/Patient/a%2Fb":      "https://a.test/fhir/Patient/a%2Fb",
		"https://a.test/fhirx/Patient/1":         "",
		"https://a.test/fhir/../admin":           "",
		"https://a.test/fhir/%2e%2e/admin":       "",
		"https://a.test/fhir/..;/manager":        "",
		"https://a.test/fhir/..%5c..%5cadmin":    "",
		"https://a.test/fhir/..%252fadmin":       "",
		"https://a.test/other":                   "",
		"http://a.test/fhir/Patient/1":           "",
		"https://a.test:8443/fhir/Patient/1":     "",
		"https://user@a.test/fhir/Patient/1":     "",
		"https://b.test/fhir/Patient/1":          "",
		"https://a.test.evil.test/fhir/Patient":  "",
		"https://evil.test/https://a.test/fhir/": "",
	} {
		u, err := url.Parse(link)
		require.NoError(t, err)
		got, ok := e.Rebase(u)
		if want == "" {
			assert.False(t, ok, link)
			continue
		}
		if assert.True(t, ok, link) {
			assert.Equal(t, want, got.String())
		}
	}
	u, _ := url.Parse("https://b.test/fhir/Patient/1")
	found, ok := topology.Locate(u)
	require.True(t, ok)
	assert.Equal(t, campus.EndpointID("his/dc-b/A"), found.ID)
}

func TestPatientID(t *testing.T) {
	t.Parallel()
	for id, valid := range map[campus.PatientID]bool{
		{Issuer: "urn:x", Value: "ZY1"}: true,
		{Issuer: "urn:x"}:               false,
		{Value: "ZY1"}:                  false,
		{Issuer: "urn:x", Value: "a|b"}: false,
		{Issuer: "urn:x", Value: "a,b"}: false,
		{Issuer: campus.ResidentIDIssuer, Value: "110101199003075672"}:     true,
		{Issuer: campus.ResidentIDIssuer, Value: "110101199003075673"}:     false,
		{Issuer: campus.ResidentIDIssuerHL7C, Value: "11010519491231002X"}: true,
		{Issuer: campus.ResidentIDIssuerHL7C, Value: "11010519491231002x"}: false,
		{Issuer: campus.ResidentIDIssuerHL7C, Value: "X1010519491231002X"}: false,
	} {
		if valid {
			require.NoError(t, id.Validate())
		} else {
			require.ErrorIs(t, id.Validate(), campus.ErrInvalidPatientID)
		}
	}
	id := campus.PatientID{Issuer: "urn:x", Value: "ZY010101"}
	text := fmt.Sprintf("%v %+v %#v %q %s %x", id, id, id, id, id, id)
	assert.NotContains(t, text, "ZY010101")
	assert.NotContains(t, fmt.Sprint(struct{ P campus.PatientID }{id}), "ZY010101")
	data, err := json.Marshal(id)
	require.NoError(t, err)
	assert.Contains(t, string(data), "ZY010101", "a program may store it")
}

func BenchmarkRoute(b *testing.B) {
	topology, err := campus.New(group())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = topology.Route(campus.HIS, "hankou", campus.Write)
	}
}
