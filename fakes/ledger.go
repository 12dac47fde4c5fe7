package fakes

import (
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
	// what was to be created only once, and those an update added.
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
	created map[string]int // by type|system|value
}

// Entries returns a copy of the record.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Executions returns how many resources of one type were given this Number.
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

// Doubled returns the Numbers that more than one resource of a type was given.
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
