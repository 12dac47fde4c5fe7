package fakes

import (
	"fmt"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// describe makes the topology. Both doors of a store have the alias under which
// their servers name themselves.
func (h *Hospital) describe() {
	d := campus.Description{
		Version: 1,
		Organizations: []campus.Organization{
			{ID: "group", Name: "集团总医院"}, {ID: "zhongfa-hospital", Name: "中法新城医院"},
		},
		DataCenters: []campus.DataCenter{
			{ID: "dc-a", Name: "数据中心 A", Role: campus.Active},
			{ID: "dc-b", Name: "数据中心 B", Role: campus.Active},
			{ID: "dr", Name: "异地灾备", Role: campus.Standby},
		},
		Campuses: []campus.Campus{
			{ID: "hankou", Name: "汉口主院区", Organization: "group", Home: "dc-a", PatientIssuer: IssuerHankou},
			{ID: "guanggu", Name: "光谷院区", Organization: "group", Home: "dc-b", PatientIssuer: IssuerGuanggu},
			{ID: "zhongfa", Name: "中法新城院区", Organization: "zhongfa-hospital", Home: "dc-a", PatientIssuer: IssuerZhongfa},
		},
	}
	if h.parallel {
		d.Environments = []campus.Environment{{ID: "A"}, {ID: "B"}}
		d.Campuses[0].Environment, d.Campuses[1].Environment, d.Campuses[2].Environment = "A", "B", "A"
	}
	h.description = d
	for _, sys := range systems {
		h.description.Systems = append(h.description.Systems, campus.System{ID: sys})
		if !h.own[sys] {
			h.describeStore(sys, campus.StoreID(sys), campus.Campus{})
			continue
		}
		for _, c := range d.Campuses {
			h.describeStore(sys, campus.StoreID(string(sys)+"-"+string(c.ID)), c)
		}
	}
}

// describeStore is a store, its replica and their doors, of a campus where that has
// an id.
func (h *Hospital) describeStore(sys campus.SystemID, original campus.StoreID, of campus.Campus) {
	d, replica := &h.description, replicaOf(original)
	d.Stores = append(d.Stores, campus.Store{ID: original, Epoch: 1, RolePath: h.rolePath},
		campus.Store{ID: replica, ReplicaOf: original, Lag: h.lag, Epoch: 1})
	h.stores[original] = newStore(h, original)
	h.stores[original].issuer = of.PatientIssuer
	h.stores[replica] = newReplica(h, replica, h.stores[original], h.lag)
	h.originals[sys] = append(h.originals[sys], original)
	for _, dc := range d.DataCenters {
		e := campus.Endpoint{
			System: sys, DataCenter: dc.ID, Store: original, Contract: h.truth(),
			HealthPath: h.healthPath, HTTP2: h.http2, AllowPlainHTTP: h.authority == nil,
		}
		name := string(sys)
		if of.ID != "" {
			name += "." + string(of.ID)
			e.ID, e.Campuses = campus.EndpointID(fmt.Sprintf("%s/%s/%s", sys, dc.ID, of.ID)), []campus.ID{of.ID}
		}
		if sys == campus.PACS {
			e.DICOMweb = h.dialect(of)
		}
		if !h.ownLinks {
			e.Aliases = []string{h.scheme() + "://" + name + ".group.test" + basePath(sys)}
		}
		if dc.Role == campus.Standby {
			e.Store, e.Readable = replica, h.readable
		}
		d.Endpoints = append(d.Endpoints, h.parallels(e)...)
	}
}

// dialect is what differs in these DICOMweb servers. Numbers without an issuer are
// the campus's, where the store is.
func (h *Hospital) dialect(of campus.Campus) campus.DICOMweb {
	d := campus.DICOMweb{RawQuery: h.personality.RawQuery}
	if h.personality.NoIssuer && of.PatientIssuer != "" {
		d.PatientIssuer, d.AccessionIssuer = of.PatientIssuer, accessionIssuer(of.PatientIssuer)
	}
	return d
}

// basePath is where a system's servers begin.
func basePath(sys campus.SystemID) string {
	if sys == campus.PACS {
		return "/dicom-web"
	}
	return "/fhir"
}

// parallels is an endpoint in each environment.
func (h *Hospital) parallels(e campus.Endpoint) []campus.Endpoint {
	if !h.parallel {
		return []campus.Endpoint{e}
	}
	a, b := e, e
	a.Environment, b.Environment = "A", "B"
	if e.ID != "" {
		a.ID, b.ID = e.ID+"/A", e.ID+"/B"
	}
	return []campus.Endpoint{a, b}
}

// truth is what the personality honours.
func (h *Hospital) truth() campus.Contract {
	if h.contract != nil {
		return *h.contract
	}
	c := campus.Contract{
		ConditionalCreate: campus.Racy, Versioning: !h.personality.IgnoreIfMatch, UpdateCreate: !h.personality.NoUpdateCreate,
		ServerTimeout: h.personality.RaceWindow + 500*time.Millisecond,
	}
	if h.personality.AtomicCreate {
		c.ConditionalCreate = campus.Atomic
	}
	return c
}

// Description returns the group as it is now, after [Hospital.Promote] and
// [Hospital.Restore] too. The caller may change it.
func (h *Hospital) Description() campus.Description {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.description
	d.Organizations, d.Campuses, d.DataCenters = slices.Clone(d.Organizations), slices.Clone(d.Campuses), slices.Clone(d.DataCenters)
	d.Environments, d.Systems = slices.Clone(d.Environments), slices.Clone(d.Systems)
	d.Stores, d.Endpoints = slices.Clone(d.Stores), slices.Clone(d.Endpoints)
	for i := range d.Stores {
		d.Stores[i].Writers = slices.Clone(d.Stores[i].Writers)
	}
	for i := range d.Endpoints {
		e := &d.Endpoints[i]
		e.Aliases, e.Contract.NotExecuted = slices.Clone(e.Aliases), slices.Clone(e.Contract.NotExecuted)
		e.Campuses = slices.Clone(e.Campuses)
	}
	return d
}

// Config is [Hospital.ConfigAt] campus hankou.
func (h *Hospital) Config() hospital.Config { return h.ConfigAt("hankou") }

// ConfigAt returns a configuration of an SDK client for this hospital, at a campus:
// its connections go by that campus's network, which [Hospital.Partition] and
// [Hospital.Isolate] break. The caller may change it.
func (h *Hospital) ConfigAt(id campus.ID) hospital.Config {
	cfg := hospital.Config{Topology: h.Description(), Campus: id, Dial: map[campus.DataCenterID]failover.DialFunc{}}
	cfg.TLS = h.trust(&cfg.Topology)
	for _, dc := range cfg.Topology.DataCenters {
		cfg.Dial[dc.ID] = h.dialer(id, dc.ID)
	}
	if h.token != "" {
		cfg.Credentials = map[campus.SystemID]hospital.Credential{}
		for _, sys := range systems {
			cfg.Credentials[sys] = hospital.BearerToken(h.token)
		}
	}
	return cfg
}
