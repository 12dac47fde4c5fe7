// Command bench measures what an outage costs its callers, and what a call costs
// in good weather: this SDK beside what else one could use. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	reads, writes         int
	length, onset, outage time.Duration
	repeats               int
	racy, keyed           bool
	only, faults          []string
	json, smoke, cost     bool
	benchTime             time.Duration
}

func main() {
	if serveCost(os.Stdin, os.Stdout) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	if o.cost {
		return runCost(ctx, o, out, log)
	}
	rows, err := runOutages(ctx, o, log)
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(out, rows)
	} else {
		printTable(out, rows, o)
	}
	if o.smoke {
		err = errors.Join(err, promises(rows))
	}
	return err
}

func parse(args []string, log io.Writer) (options, error) {
	var o options
	var only, names, store string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(log)
	f.IntVar(&o.reads, "reads", 160, "reads per second")
	f.IntVar(&o.writes, "writes", 40, "writes per second")
	f.DurationVar(&o.length, "for", 19*time.Second, "length of the load")
	f.DurationVar(&o.onset, "onset", 5*time.Second, "when the fault begins")
	f.DurationVar(&o.outage, "outage", 7*time.Second, "how long the fault lasts")
	f.IntVar(&o.repeats, "n", 1, "repeats, medians are shown (with -cost: 5 unless set higher)")
	f.StringVar(&store, "store", "atomic", "conditional create: atomic, or racy (looks, waits 20 ms, inserts)")
	f.BoolVar(&o.keyed, "keyed", true, "writes carry a key that the store may know again")
	f.StringVar(&only, "only", "", "contenders, comma-separated")
	f.StringVar(&names, "fault", "", "faults, comma-separated")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVar(&o.smoke, "smoke", false, "a short run for CI: two faults of 1 s, no proxies; fails if this SDK breaks a promise")
	f.BoolVar(&o.cost, "cost", false, "measure the cost of a call instead")
	f.DurationVar(&o.benchTime, "benchtime", 200*time.Millisecond, "of each benchmark of -cost")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.smoke {
		o.length, o.onset, o.outage = 3*time.Second, time.Second, time.Second
		names, only = or(names, "killed,cut"), or(only, "home-made-tuned,failsafe,hospital")
	}
	o.racy, o.only, o.faults = store == "racy", list(only), list(names)
	return o, o.check(store)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (o options) check(store string) error {
	switch {
	case store != "atomic" && store != "racy":
		return errors.New("-store is atomic or racy")
	case o.reads < 1 || o.writes < 1 || o.repeats < 1:
		return errors.New("-reads, -writes and -n are 1 or more")
	case o.onset <= 0 || o.outage <= 0 || o.onset+o.outage >= o.length:
		return errors.New("-onset and -outage must end before -for")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(contenders(), func(c contender) bool { return c.name == name }) {
			return fmt.Errorf("no contender %q", name)
		}
	}
	for _, name := range o.faults {
		if !slices.ContainsFunc(faults(), func(f fault) bool { return f.name == name }) {
			return fmt.Errorf("no fault %q", name)
		}
	}
	return nil
}

// runOutages takes the contenders in turn, fault by fault, so that what the
// machine does meanwhile meets all of them.
func runOutages(ctx context.Context, o options, log io.Writer) ([]*result, error) {
	var rows []*result
	here := present(o)
	fmt.Fprintln(log, blackHoleMethod()) // tried now, not when the first black hole begins
	for _, f := range faults() {
		if len(o.faults) > 0 && !slices.Contains(o.faults, f.name) {
			continue
		}
		repeats := make([][]*result, len(here))
		for n := range o.repeats {
			for i, c := range here {
				fmt.Fprintf(log, "%s %s %d/%d\n", f.name, c.name, n+1, o.repeats)
				r, err := measure(ctx, c, f, o)
				if err != nil {
					return nil, err
				}
				repeats[i] = append(repeats[i], r)
			}
		}
		for _, r := range repeats {
			rows = append(rows, medians(r))
		}
	}
	return rows, nil
}

// present are the contenders asked for that can run here.
func present(o options) []contender {
	return slices.DeleteFunc(contenders(), func(c contender) bool { return !o.wants(c) || !c.available() })
}

func (o options) wants(c contender) bool { return len(o.only) == 0 || slices.Contains(o.only, c.name) }

// promises are those of this SDK that hold in every fault.
func promises(rows []*result) error {
	var broken error
	for _, r := range rows {
		if strings.HasPrefix(r.Contender, "hospital") && (r.FailedReads > 0 || r.Duplicates > 0) {
			broken = errors.Join(broken, fmt.Errorf("%s, %s: %v failed reads, %v duplicates", r.Contender, r.Fault, r.FailedReads, r.Duplicates))
		}
	}
	return broken
}
