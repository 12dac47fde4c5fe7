// Package booking is the life of an appointment at one system: free slots, holds,
// bookings, their changes and their end. The typed clients that have appointments
// (his, pacs) forward to a [Desk].
//
// Every write is one FHIR transaction over the Slot, with its version as guard, and
// the Appointment, which carries the Number. What that promises, and what it needs of
// the server, stands in the doc comment of package his.
package booking

import (
	"errors"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/verb"
)

// Systems are the identifier systems under which Numbers are stored. They must differ.
type Systems struct {
	// Booking of an Appointment's booking number.
	Booking string
	// Hold of an Appointment's hold number.
	Hold string
}

// Refusal is why a booking was refused by the hospital's rules. It stands in
// hospital.Error.Reason beside hospital.ErrRefused.
type Refusal string

// Refusals that codes of a server are mapped to.
const (
	RefusedQuota       Refusal = "quota used up"               // 限额已满
	RefusedNotReleased Refusal = "not yet released"            // 未到放号时间
	RefusedBlacklisted Refusal = "patient may not book online" // 爽约黑名单
)

// DefaultRefusals maps quota-exceeded, not-released and blacklisted.
func DefaultRefusals() map[string]Refusal {
	return map[string]Refusal{"quota-exceeded": RefusedQuota, "not-released": RefusedNotReleased, "blacklisted": RefusedBlacklisted}
}

// Desk has the verbs. It is immutable and safe for concurrent use.
type Desk struct {
	client   *hospital.Client
	system   campus.SystemID
	ops      verb.Ops
	systems  Systems
	refusals map[string]Refusal
}

// New returns the desk of a system. Its operations are named prefix and verb:
// "his" makes "his.Book". refusals are the reasons by the codes that the server has in
// OperationOutcome.issue.details.coding; the caller must not change them any more.
func New(client *hospital.Client, system campus.SystemID, prefix string, systems Systems, refusals map[string]Refusal) *Desk {
	return &Desk{client: client, system: system, ops: verb.Ops{System: system, Prefix: prefix}, systems: systems, refusals: refusals}
}

// Refused gives a business refusal its reason, and leaves every other error alone.
func (d *Desk) Refused(err error) error {
	var outcome *fhir.OutcomeError
	if !errors.As(err, &outcome) {
		return err
	}
	for _, issue := range outcome.Outcome().Issue {
		if issue.Details == nil {
			continue
		}
		for _, coding := range issue.Details.Coding {
			if reason, ok := d.refusals[coding.Code]; ok {
				return hospital.Refuse(hospital.ErrRefused, string(reason))
			}
		}
	}
	return err
}
