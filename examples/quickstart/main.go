// Command quickstart shows the SDK's main job with nothing to install or
// configure: a hospital of three campuses, two active data centres and a standby
// runs inside the process; kiosks, nurses and doctors of every campus register,
// search, hold, book and cancel through the SDK while a data centre is lost and
// comes back; and the hospital's own books are compared with what the callers
// were told.
//
//	go run ./examples/quickstart                  # dc-a's servers are lost for a while
//	go run ./examples/quickstart -fault main-dc   # the database itself is gone for a while
//	go run ./examples/quickstart -json            # one JSON object, for programs
//	go run ./examples/quickstart -data DIR        # load FHIR transaction Bundles first
//
// It exits with 1 if a call failed (under the default fault), or anything was
// done twice or lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.fault, "fault", "site", "site: dc-a's servers are lost; main-dc: the shared database is gone")
	flag.StringVar(&o.data, "data", "", "folder of FHIR transaction Bundles (*.json) to load first")
	flag.DurationVar(&o.duration, "for", 9*time.Second, "how long to run; the fault covers the second sixth")
	flag.BoolVar(&o.json, "json", false, "print one JSON object instead of the story")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

type options struct {
	fault    string
	data     string
	duration time.Duration
	json     bool
}

var errPromise = errors.New("a promise was broken; see the table")

func run(ctx context.Context, out io.Writer, o options) error {
	if o.fault != "site" && o.fault != "main-dc" {
		return fmt.Errorf("-fault must be site or main-dc, not %q", o.fault)
	}
	if o.duration < time.Second || o.duration > time.Minute {
		return errors.New("-for must be from 1s to 1m")
	}
	story := out
	if o.json {
		story = io.Discard
	}
	p, err := open(o)
	if err != nil {
		return err
	}
	defer p.close()
	loaded, err := p.load(ctx, o.data)
	if err != nil {
		return err
	}
	introduce(story, p, loaded)
	p.play(ctx, story)
	s := p.score()
	if o.json {
		data, err := json.Marshal(s.summary)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, string(data))
	} else {
		show(out, p, s)
	}
	if s.broken(o.fault) {
		return errPromise
	}
	return nil
}
