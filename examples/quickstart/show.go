package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hospital-go/hospital/campus"
)

func introduce(w io.Writer, p *play, loaded int) {
	fmt.Fprintln(w, "A hospital of three campuses, two active data centres (one store) and a standby, in this process.")
	for _, d := range p.desks {
		c := d.client.Topology().Campus(d.campus)
		fmt.Fprintf(w, "  %-8s %s, home %s\n", c.ID, c.Name, c.Home)
	}
	if loaded > 0 {
		fmt.Fprintf(w, "Loaded %d Bundles through the SDK's transactions.\n", loaded)
	}
	what := "dc-a's servers are lost, and come back"
	if p.options.fault == "main-dc" {
		what = "the database behind both data centres is gone, and comes back"
	}
	fmt.Fprintf(w, "Kiosks, nurses and doctors work for %s; meanwhile %s.\n", p.options.duration, what)
	fmt.Fprintf(w, "(A site that failed stays out for at least %s here, and its share then grows for %s; the SDK's own are a minute each.)\n\n", quick.HoldDown, quick.Growth)
}

// progress prints a live line until the time is over.
func (p *play) progress(ctx context.Context, w io.Writer) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(w)
			return
		case <-tick.C:
			records := p.snapshot()
			failed := 0
			for _, r := range records {
				if r.code != "" && r.code != "conflict" {
					failed++
				}
			}
			fmt.Fprintf(w, "\r  %4.1f s  %5d calls  %d failed   ", time.Since(p.start).Seconds(), len(records), failed)
		}
	}
}

func show(w io.Writer, p *play, s *score) {
	fmt.Fprintf(w, "\n%-11s %7s %9s %7s %8s %9s\n", "verb", "calls", "conflicts", "failed", "unknown", "slowest")
	for _, verb := range []string{"Register", "Patient", "FreeSlots", "Hold", "Release", "Book", "Cancel"} {
		var calls, conflicts, failed, unknown int
		var slowest time.Duration
		for _, r := range s.records {
			if r.verb != verb {
				continue
			}
			calls++
			slowest = max(slowest, r.took)
			switch r.code {
			case "":
			case "conflict":
				conflicts++
			case "outcome_unknown":
				unknown++
			default:
				failed++
			}
		}
		fmt.Fprintf(w, "%-11s %7d %9d %7d %8d %6d ms\n", verb, calls, conflicts, failed, unknown, slowest.Milliseconds())
	}
	fmt.Fprintf(w, "\ncalls %d   failed %d   doubled %d   lost %d   unknown %d   slowest %d ms   time to switch %d ms\n",
		s.Calls, s.Failed, s.Duplicated, s.Lost, s.Unknown, s.SlowestMS, s.SwitchMS)
	fmt.Fprintln(w, "(doubled and lost come from the hospital's own books, compared with what callers were told)")
	reasons(w, s)
	timeline(w, p, s)
	fmt.Fprintf(w, "\nOne call as a trace (%s):\n", s.TraceID)
	tree(w, s.trace)
}

// reasons prints an error of each code, as a program would log it.
func reasons(w io.Writer, s *score) {
	seen := map[string]int{}
	for _, r := range s.records {
		if r.code == "" || r.code == "conflict" {
			continue
		}
		if seen[string(r.code)]++; seen[string(r.code)] == 1 {
			fmt.Fprintf(w, "  %s\n", r.why)
		}
	}
}

// timeline draws who answered each campus, a letter per step: a for dc-a, b for
// dc-b, x where calls failed.
func timeline(w io.Writer, p *play, s *score) {
	const steps = 60
	step := p.options.duration / steps
	fmt.Fprintf(w, "\nWho answered (a: dc-a, b: dc-b, x: failed; one letter is %s):\n", step.Round(time.Millisecond))
	for _, d := range p.desks {
		line := []byte(strings.Repeat(".", steps))
		count := make([]map[byte]int, steps)
		for _, r := range s.records {
			i := int((r.at + r.took) / step)
			if r.campus != d.campus || i < 0 || i >= steps || (r.from == "" && (r.code == "" || r.code == "conflict")) {
				continue
			}
			if count[i] == nil {
				count[i] = map[byte]int{}
			}
			count[i][letter(r)]++
			if c := letter(r); line[i] == '.' || count[i][c] > count[i][line[i]] {
				line[i] = c
			}
		}
		fmt.Fprintf(w, "  %-8s %s\n", d.campus, line)
	}
	mark := []byte(strings.Repeat(" ", steps+1))
	for i := range mark {
		if at := time.Duration(i) * step; at >= p.faultAt && at < p.backAt {
			mark[i] = '^'
		}
	}
	fmt.Fprintf(w, "  %-8s %s\n", "fault", strings.TrimRight(string(mark), " "))
}

func letter(r record) byte {
	switch r.from {
	case campus.DataCenterID("dc-a"):
		return 'a'
	case campus.DataCenterID("dc-b"):
		return 'b'
	}
	return 'x'
}

// tree prints spans below their parents, in order of time.
func tree(w io.Writer, spans tracetest.SpanStubs) {
	slices.SortFunc(spans, func(a, b tracetest.SpanStub) int {
		return cmp.Compare(a.StartTime.UnixNano(), b.StartTime.UnixNano())
	})
	known := map[string]bool{}
	for _, s := range spans {
		known[s.SpanContext.SpanID().String()] = true
	}
	for _, s := range spans {
		if !known[s.Parent.SpanID().String()] {
			branch(w, spans, s, "  ", "")
		}
	}
}

func branch(w io.Writer, spans tracetest.SpanStubs, s tracetest.SpanStub, indent, lead string) {
	var facts []string
	for _, a := range s.Attributes {
		switch a.Key {
		case "hospital.datacenter", "http.response.status_code", "hospital.attempt.reason", "hospital.attempt.outcome", "error.type":
			facts = append(facts, a.Value.String())
		}
	}
	took := s.EndTime.Sub(s.StartTime).Round(10 * time.Microsecond)
	fmt.Fprintf(w, "%s%s%s  %s  %s\n", indent, lead, s.Name, took, strings.Join(facts, " "))
	var children []tracetest.SpanStub
	for _, c := range spans {
		if c.Parent.SpanID() == s.SpanContext.SpanID() {
			children = append(children, c)
		}
	}
	for i, c := range children {
		next := "├─ "
		if i == len(children)-1 {
			next = "└─ "
		}
		branch(w, spans, c, indent+strings.Repeat(" ", len(lead)/2), next)
	}
}
