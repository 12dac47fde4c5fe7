package lis

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
)

// Position says where in a feed its reader is. It is text to be stored and given back
// as it is; it names a store and its epoch and holds nothing of a patient. "" is the
// beginning. It grows by about 44 bytes for each change within the overlap, up to 20,000 of
// them or 0.9 MB (90,000 or 4 MB where these are of one moment): too long for a VARCHAR
// column.
type Position string

// Bounds of a Position.
const (
	maxPosition = 4 << 20
	maxMoment   = 90_000 // changes of one moment that are remembered: what fits in maxPosition
	maxRecent   = 20_000 // changes that are remembered; beyond that some may come twice
)

// place is what a Position says.
type place struct {
	// Type of what is followed, so that one feed's position is not given to another.
	Type  string
	Store campus.StoreID
	Epoch int64
	// Since is the time up to which all has come.
	Since time.Time
	// Recent are the changes that came of after Since, by digest, with their times in
	// milliseconds.
	Recent map[string]int64
}

func (p Position) read(typ string) (place, error) {
	invalid := hospital.Refuse(hospital.ErrInvalidArgument, "not a Position of this feed")
	if len(p) > maxPosition {
		return place{}, invalid
	}
	data, err := base64.RawURLEncoding.DecodeString(string(p))
	if err != nil {
		return place{}, invalid
	}
	var out place
	if json.Unmarshal(data, &out) != nil || out.Type != typ || out.Store == "" || out.Since.IsZero() {
		return place{}, invalid
	}
	if _, err := out.Since.MarshalText(); err != nil { // of a zone that can be read and not written
		return place{}, invalid
	}
	if out.Recent == nil {
		out.Recent = map[string]int64{}
	}
	return out, nil
}

func (p *place) position() Position {
	data, _ := json.Marshal(p.bounded()) //nolint:errchkjson // strings, numbers and a time of this era
	return Position(base64.RawURLEncoding.EncodeToString(data))
}

// digest names one version of one resource.
func digest(r r4.Resource) string {
	m := r.ResourceMeta()
	sum := sha256.Sum256([]byte(r.ResourceType() + "/" + r.ResourceID() + "/" + m.VersionId + "/" + m.LastUpdated))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// add notes a change and reports whether it is new.
func (p *place) add(r r4.Resource, at time.Time) bool {
	d := digest(r)
	if _, known := p.Recent[d]; known {
		return false
	}
	p.Recent[d] = at.UnixMilli()
	return true
}

// forget drops what the next look cannot bring again.
func (p *place) forget(before int64) {
	maps.DeleteFunc(p.Recent, func(_ string, at int64) bool { return at < before })
}

// bounded is p with not too much of what came.
func (p *place) bounded() *place {
	if len(p.Recent) <= maxRecent {
		return p
	}
	times := slices.Sorted(maps.Values(p.Recent))
	out := *p
	out.Recent = maps.Clone(p.Recent)
	out.forget(times[len(times)-maxRecent])
	for d := range out.Recent { // of one moment
		if len(out.Recent) <= maxMoment {
			break
		}
		delete(out.Recent, d)
	}
	return &out
}
