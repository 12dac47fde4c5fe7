package main

import (
	"fmt"
	"io"
)

// costCell is a stack's cost by one method, beside bare net/http's.
type costCell struct {
	NS, CPU, Allocs       float64
	RatioNS, RatioCPU     float64 // to bare
	AddedAllocs           float64 // to bare's
	ShareOfHomeMadesAdded ms      // of the added CPU of the home-made stack with the same tracing
}

func costRows(media []medium, all []stack, benches []*bench) []costRow {
	found := map[string]cost{}
	key := func(medium, stack string, write bool) string { return fmt.Sprint(medium, "/", stack, "/", write) }
	for _, b := range benches {
		found[key(b.medium, b.stack, b.call.write)] = middle(b.costs)
	}
	var rows []costRow
	for _, m := range media {
		for _, s := range all {
			cell := func(write bool) costCell {
				bare, mine := found[key(m.name, all[0].name, write)], found[key(m.name, s.name, write)]
				out := beside(mine, bare)
				if theirs, ok := found[key(m.name, s.against, write)]; ok {
					out.ShareOfHomeMadesAdded = ms((mine.cpu - bare.cpu) / (theirs.cpu - bare.cpu))
				}
				return out
			}
			rows = append(rows, costRow{Medium: m.name, Stack: s.name, Get: cell(false), Post: cell(true)})
		}
	}
	return rows
}

func beside(mine, bare cost) costCell {
	return costCell{
		NS: mine.ns, CPU: mine.cpu, Allocs: mine.allocs,
		RatioNS: mine.ns / bare.ns, RatioCPU: mine.cpu / bare.cpu,
		AddedAllocs: mine.allocs - bare.allocs, ShareOfHomeMadesAdded: none,
	}
}

func middle(costs []cost) cost {
	var ns, cpu, allocs []float64
	for _, c := range costs {
		ns, cpu, allocs = append(ns, c.ns), append(cpu, c.cpu), append(allocs, c.allocs)
	}
	return cost{ns: median(ns), cpu: median(cpu), allocs: median(allocs)}
}

// printCost writes the table of costs in Markdown.
func printCost(w io.Writer, rows []costRow) {
	fmt.Fprint(w, "Cost of a call, request built and answer of 1 KiB read; medians. CPU is this process's; the loopback server is another process.\n\n")
	line(w, "over", "stack", "GET ns", "x bare", "CPU x bare", "share of home-made's added CPU", "allocs (added)",
		"POST 1 KiB ns", "x bare", "CPU x bare", "share of home-made's added CPU", "allocs (added)")
	line(w, "---", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---")
	for _, r := range rows {
		line(w, append(append([]string{r.Medium, r.Stack}, r.Get.cells()...), r.Post.cells()...)...)
	}
}

func (c costCell) cells() []string {
	share := "-"
	if c.ShareOfHomeMadesAdded == c.ShareOfHomeMadesAdded { // not NaN
		share = fmt.Sprintf("%.2f", float64(c.ShareOfHomeMadesAdded))
	}
	return []string{
		fmt.Sprintf("%.0f", c.NS), fmt.Sprintf("%.2f", c.RatioNS), fmt.Sprintf("%.2f", c.RatioCPU), share,
		fmt.Sprintf("%.0f (+%.0f)", c.Allocs, c.AddedAllocs),
	}
}
