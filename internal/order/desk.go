// Package order is the life of a request for a service at one system: placed with all
// its items at once, found, cancelled. The typed clients that take orders (lis, pacs)
// forward to a [Desk].
//
// An order is as many ServiceRequests as it has items, made in one transaction. They
// share the Number as their requisition; each has an identifier of its own, Number and
// line, by which it is created only once.
package order

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Config is how a system keeps its orders.
type Config struct {
	System campus.SystemID
	// Prefix of the operations' names: "lis" makes "lis.Order".
	Prefix string
	// Category of every item, by which orders are listed.
	Category r4.Coding
	// Requisition is the identifier system of the Number, Line that of an item's
	// Number and line. They must differ.
	Requisition, Line string
	// Begun returns why live items of a patient cannot be cancelled any more, a
	// hospital.ErrRefused, or nil when nobody has begun with them. Nil asks nobody.
	Begun func(ctx context.Context, f *fhir.Client, patient verb.Records, items []Item) error
}

// Desk has the verbs. It is immutable and safe for concurrent use.
type Desk struct {
	client *hospital.Client
	config Config
	ops    verb.Ops
}

// New returns the desk of a system.
func New(client *hospital.Client, config Config) *Desk {
	return &Desk{client: client, config: config, ops: verb.Ops{System: config.System, Prefix: config.Prefix}}
}

// Item is one item of an order (申请项目) and who answered with it.
type Item = hospital.Found[*r4.ServiceRequest]

// Order is what one requisition names (申请单).
type Order struct {
	// Number is the requisition's, "" of an item that another program made without one.
	Number string
	// Items by their lines. Cancelled ones (revoked) are among them, those that were
	// entered in error are not.
	Items []*r4.ServiceRequest
}

// Cancelled reports whether no item stands any more.
func (o Order) Cancelled() bool { return !slices.ContainsFunc(o.Items, Live) }

// Placed is an order and who answered with it.
type Placed = hospital.Found[Order]

// Live reports whether an item still stands.
func Live(s *r4.ServiceRequest) bool {
	return s.Status != r4.RequestStatusRevoked && s.Status != r4.RequestStatusEnteredInError
}

// LineOf returns an item's line in its order, counted from 1; 0 when another program
// made it.
func (d *Desk) LineOf(s *r4.ServiceRequest) int {
	if s.Requisition == nil {
		return 0
	}
	value, _ := r4.IdentifierValue(s.Identifier, d.config.Line)
	text, _ := strings.CutPrefix(value, s.Requisition.Value+"-")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || value != lineValue(s.Requisition.Value, n) {
		return 0
	}
	return n
}

func lineValue(number string, line int) string { return number + "-" + strconv.Itoa(line) }
