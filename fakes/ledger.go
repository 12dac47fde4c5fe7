package fakes

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Entry is one request as the hospital saw it.
type Entry struct {
	Time        time.Time
	Endpoint    campus.EndpointID
	DataCenter  campus.DataCenterID
	Interaction string
	Type        string
	// RequestID is the X-Request-Id that came.
	RequestID string
	// Created are the Numbers it gave, as type|system|value: the identifiers of
	// what was to be created only once, and those an update added; of what was stored
	// Instance|store|SOP Instance UID.
	Created []string
	// Status is what the client was told, 0 when the answer was lost.
	Status int
	// Executed says whether it changed anything.
	Executed bool
}

// Ledger records requests, in the order in which they were answered. It is safe
// for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	entries []Entry
	created map[string]int       // by type|system|value
	came    map[string][]Receipt // by SOP Instance UID
}

// Receipt is one instance that came whole by STOW-RS and was said to be stored.
type Receipt struct {
	Time        time.Time
	Endpoint    campus.EndpointID
	Store       campus.StoreID
	SOPInstance string
	// SHA256 and Size are of the bytes as they came.
	SHA256 [sha256.Size]byte
	Size   int64
	// Kept says whether it was new; otherwise what was there stayed.
	Kept bool
}

// Entries returns a copy of the record.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Receipts returns every time an instance came, by its SOP Instance UID, in order.
func (l *Ledger) Receipts(sop string) []Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.came[sop])
}

// receive records an instance, and counts it as made once for each content that a
// store was sent under its UID. It returns the Number where it counts.
func (l *Ledger) receive(r Receipt) []string {
	number := fmt.Sprintf("Instance|%s|%s", r.Store, r.SOPInstance)
	l.mu.Lock()
	if l.came == nil {
		l.came = map[string][]Receipt{}
	}
	again := slices.ContainsFunc(l.came[r.SOPInstance], func(x Receipt) bool { return x.Store == r.Store && x.SHA256 == r.SHA256 })
	l.came[r.SOPInstance] = append(l.came[r.SOPInstance], r)
	l.mu.Unlock()
	if again {
		return nil
	}
	l.create([]string{number})
	return []string{number}
}

// Executions returns how many resources of one type were given this Number, or how many
// different contents a store was sent under this SOP Instance UID.
func (l *Ledger) Executions(number string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := 0
	for key, n := range l.created {
		if strings.HasSuffix(key, "|"+number) {
			most = max(most, n)
		}
	}
	return most
}

// Doubled returns the Numbers that more than one resource of a type was given, and the
// SOP Instance UIDs under which a store was sent different contents.
func (l *Ledger) Doubled() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for key, n := range l.created {
		if n > 1 {
			out = append(out, key[strings.LastIndexByte(key, '|')+1:])
		}
	}
	slices.Sort(out)
	return out
}

// create counts an execution at the moment it commits.
func (l *Ledger) create(numbers []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.created == nil {
		l.created = map[string]int{}
	}
	for _, n := range numbers {
		l.created[n]++
	}
}

func (l *Ledger) told(in *request, out *answer, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Entry{
		Time: time.Now(), Endpoint: in.endpoint.Name(), DataCenter: in.endpoint.DataCenter,
		Interaction: in.interaction, Type: in.typ, RequestID: in.requestID, Status: status,
	}
	if out != nil {
		e.Created, e.Executed = out.created, out.changed
	}
	l.entries = append(l.entries, e)
}
