// Command greyrelease shows a rolling upgrade (灰度发布) under load, with nothing to
// install: a hospital of three campuses runs two environments, A and B. While
// patients are looked up, orders placed and payments taken, A is drained campus by
// campus, upgraded and restored, then B, then A once more: by a call in each
// program, by the description that all programs follow, and the way balancers do
// it. Nobody's call fails, no payment is cut short.
//
//	go run ./examples/greyrelease
//	go run ./examples/greyrelease -json
//
// It exits with 1 if a call failed, a payment was cancelled or anything was done twice.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	asJSON := flag.Bool("json", false, "print one JSON object instead of the story")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "greyrelease:", err)
		os.Exit(1)
	}
}

var errPromise = errors.New("a promise was broken; see the last lines")

// summary is what -json prints.
type summary struct {
	Steps      []step `json:"steps"`
	Calls      int    `json:"calls"`
	Payments   int    `json:"payments"`
	Failed     int    `json:"failed"`
	Cancelled  int    `json:"cancelled"`
	Duplicated int    `json:"duplicated"`
	Lost       int    `json:"lost"`
}

// step is one environment's upgrade.
type step struct {
	Environment string `json:"environment"`
	By          string `json:"by"`
	InFlight    int    `json:"in_flight"` // when its drain began
	DrainMS     int64  `json:"drain_ms"`  // until it was empty
	Stragglers  int    `json:"stragglers"`
	Calls       int    `json:"calls"` // meanwhile
	Failed      int    `json:"failed"`
}

func run(ctx context.Context, out io.Writer, asJSON bool) error {
	story := out
	if asJSON {
		story = io.Discard
	}
	r, err := begin(story)
	if err != nil {
		return err
	}
	defer r.close()
	s, err := r.run(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		data, err := json.Marshal(s)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, string(data))
	}
	fmt.Fprintf(story, "\ncalls %d   payments %d   failed %d   payments cut short %d   doubled %d   lost %d\n", s.Calls, s.Payments, s.Failed, s.Cancelled, s.Duplicated, s.Lost)
	fmt.Fprintln(story, "(doubled and lost come from the hospital's own books, compared with what callers were told)")
	if s.Failed+s.Cancelled+s.Duplicated+s.Lost > 0 {
		return errPromise
	}
	return nil
}
