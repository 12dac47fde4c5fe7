package verb

import (
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
)

// Whether a look-up may end what was made twice: a reading verb settles nothing.
const (
	MaySettle = true
	OnlyReads = false
)

// ClockMargin is how far clocks may be apart.
const ClockMargin = 30 * time.Second

// Contract is what the endpoint that answered honours.
func Contract(c *hospital.Client, o hospital.Origin) campus.Contract {
	for _, e := range c.Topology().Endpoints() {
		if e.ID == o.Endpoint {
			return e.Contract
		}
	}
	return campus.Contract{}
}
