// Command outagedrill plays the promises of the hospital group as a game day
// (容灾演练): one fault after another under load, and for each what callers saw, how
// long it took to switch and to come back, and whether the promise was kept.
//
//	go run ./examples/outagedrill                  # against a hospital of its own, over loopback sockets
//	go run ./examples/outagedrill -lang zh         # 容灾演练报告
//	go run ./examples/outagedrill -json            # for programs
//	go run ./examples/outagedrill -only site,store # some of the faults
//	go run ./examples/outagedrill -config hospital.yaml -readonly -patient 'ISSUER|VALUE'
//
// With -config it drills against a real staging hospital. It then only reads, and
// breaks nothing but its own network: connections are refused, hang, slow down or
// are cut in this process. Without -patient it reads capability statements.
//
// It exits with 1 if a promise was broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

func main() {
	var o options
	patient := ""
	flag.StringVar(&o.lang, "lang", "en", "en or zh")
	flag.BoolVar(&o.json, "json", false, "print one JSON object instead of the report")
	flag.StringVar(&o.only, "only", "", "faults to drill, with commas; all without it")
	flag.DurationVar(&o.fault, "for", 3*time.Second, "how long each fault lasts")
	flag.DurationVar(&o.holdDown, "holddown", time.Second, "first ejection and hold-down of the drill; 0 is the SDK's own 5 s and a minute")
	flag.DurationVar(&o.growth, "growth", time.Second, "growth of a returning share; 0 is the SDK's own minute")
	flag.DurationVar(&o.back, "back", 2*time.Second, "how soon home must answer again where that is promised; more on a machine that is busy with other things")
	flag.StringVar(&o.config, "config", "", "hospital.yaml of a staging hospital; needs -readonly")
	flag.BoolVar(&o.readonly, "readonly", false, "promise to only read, for -config")
	flag.StringVar(&patient, "patient", "", "ISSUER|VALUE of a patient to look up, for -config")
	flag.Parse()
	o.patient.Issuer, o.patient.Value, _ = strings.Cut(patient, "|")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "outagedrill:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

type options struct {
	lang, only, config string
	json, readonly     bool
	fault              time.Duration
	holdDown, growth   time.Duration
	back               time.Duration
	patient            campus.PatientID
}

func (o options) rules() failover.Rules {
	return failover.Rules{FirstEjection: o.holdDown, HoldDown: o.holdDown, Growth: o.growth}
}

func (o options) check() error {
	switch {
	case o.lang != "en" && o.lang != "zh":
		return fmt.Errorf("-lang must be en or zh, not %q", o.lang)
	case o.fault < 500*time.Millisecond || o.fault > 10*time.Minute:
		return errors.New("-for must be from 500ms to 10m")
	case (o.config != "") != o.readonly:
		return errors.New("-config and -readonly go together: a real hospital is only read")
	case o.patient != (campus.PatientID{}) && (o.config == "" || o.patient.Validate() != nil):
		return errors.New("-patient must be ISSUER|VALUE, with -config")
	}
	return nil
}

var errPromise = errors.New("a promise was broken; see the report")

func run(ctx context.Context, out io.Writer, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	rows, err := chosen(o)
	if err != nil {
		return err
	}
	var results []result
	for _, r := range rows {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		got, err := drill(ctx, r, o)
		if err != nil {
			return fmt.Errorf("%s: %w", r.fault, err)
		}
		results = append(results, got)
		if !o.json {
			fmt.Fprintf(os.Stderr, "%s: %s\n", r.fault, word(o.lang, got.Kept))
		}
	}
	if err := report(out, o, results); err != nil {
		return err
	}
	for _, r := range results {
		if !r.Kept {
			return errPromise
		}
	}
	return nil
}
