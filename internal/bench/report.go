package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// printTable writes the outage table in Markdown.
func printTable(w io.Writer, rows []*result, o options) {
	fmt.Fprintf(w, "Two replicas, %d reads/s + %d writes/s (%s) for %v, fault at home for %v from %v on; store %s; medians of %d.\n\n",
		o.reads, o.writes, map[bool]string{true: "keyed", false: "no key"}[o.keyed], o.length, o.outage, o.onset,
		map[bool]string{true: "racy", false: "atomic"}[o.racy], o.repeats)
	line(w, "fault", "contender", "calls", "failed reads", "failed writes", "of these unknown", "reads > 100 ms",
		"longest gap ms", "duplicates", "attempts per call, healthy", "peer first ms", "back home ms")
	line(w, strings.Fields(strings.Repeat("--- ", 12))...)
	for _, r := range rows {
		unknown := "-" // only ours says so
		if strings.HasPrefix(r.Contender, "hospital") {
			unknown = r.Unknown.String()
		}
		line(w, r.Fault, r.Contender, r.Calls.String(), r.FailedReads.String(), r.FailedWrites.String(), unknown, r.SlowReads.String(),
			r.LongestGap.String(), r.Duplicates.String(), fmt.Sprintf("%.3f", float64(r.Attempts)), r.PeerFirst.String(), r.Back.String())
	}
	fmt.Fprintf(w, "\n%s\n", blackHoleMethod())
	for _, c := range contenders() {
		if o.wants(c) && !c.available() {
			fmt.Fprintf(w, "SKIPPED %s: there is no program %s here.\n", c.name, c.proxy)
		}
	}
}

func line(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
