// Command fakehospital runs the fake hospital on loopback ports, for programs in
// any language: three campuses; HIS, EMR and LIS in two active data centres and a
// standby, as FHIR R4 servers that break on command.
//
//	go run ./examples/fakehospital                      # ports of the machine's choice
//	go run ./examples/fakehospital -addr 127.0.0.1:9000 # control at 9000, servers from 9001 on
//	go run ./examples/fakehospital -data DIR            # load FHIR transaction Bundles first
//
// It prints one line of JSON once everything answers: where the control is, every
// endpoint, and a patient to begin with. The control speaks JSON over HTTP:
//
//	GET    /                          the same line
//	GET    /hospital.yaml             a configuration for hospital.LoadConfig
//	GET    /ledger                    every request and what came of it; ?number=N counts N's executions
//	POST   /faults                    break something: {"when":{"datacenter":"dc-a","interaction":"transaction"},"do":{"resetAfter":true},"times":1}
//	DELETE /faults                    mend everything; /faults/ID mends one
//	POST   /datacenters/dc-a/stop     its servers are gone; /start brings them back
//	POST   /stores/his/down           its database is gone: 500; /up brings it back
//
// The names of when and do are those of fakes.When and fakes.Action; durations are
// texts such as "200ms". It ends with an interrupt.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "address of the control, on this machine; the servers have the ports after it (0: any)")
	flag.StringVar(&o.data, "data", "", "folder of FHIR transaction Bundles (*.json) to load into every system first")
	flag.Uint64Var(&o.seed, "seed", 1, "what is left to chance")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "fakehospital:", err)
		os.Exit(1)
	}
}

type options struct {
	addr string
	data string
	seed uint64
}

// run serves until ctx ends.
func run(ctx context.Context, out io.Writer, o options) error {
	port, err := portOf(o.addr)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.addr) //nolint:noctx // it returns at once
	if err != nil {
		return err
	}
	defer l.Close() //nolint:errcheck // nothing to be done
	servers := fakes.WithLoopback()
	if port > 0 {
		servers = fakes.WithLoopbackFrom(port + 1)
	}
	hosp, err := fakes.New(servers, fakes.WithSeed(o.seed), fakes.WithOwnLinks())
	if err != nil {
		return err
	}
	defer hosp.Close() //nolint:errcheck // it never fails
	loaded, err := load(ctx, hosp, o.data)
	if err != nil {
		return err
	}
	c := newControl(hosp, "http://"+l.Addr().String(), loaded)
	server := &http.Server{Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	line, err := json.Marshal(c.about)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, string(line))
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// portOf refuses addresses that others could reach.
func portOf(addr string) (int, error) {
	host, text, err := net.SplitHostPort(addr)
	port, err2 := strconv.Atoi(text)
	if ip := net.ParseIP(host); err != nil || err2 != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return 0, errors.New("-addr must be a port of this machine, such as 127.0.0.1:9000")
	}
	return port, nil
}

// load sends every Bundle to every system, which thus knows the whole record.
func load(ctx context.Context, hosp *fakes.Hospital, dir string) (int, error) {
	if dir == "" {
		return 0, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("-data: no *.json in %s", dir)
	}
	client, err := hospital.New(hosp.Config())
	if err != nil {
		return 0, err
	}
	defer client.Close() //nolint:errcheck // it never fails
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		bundle, err := r4.Decode[*r4.Bundle](data)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		for _, system := range []campus.SystemID{campus.HIS, campus.EMR, campus.LIS} {
			if _, _, err := fhir.Transaction(ctx, client.FHIR(system), bundle); err != nil {
				return 0, fmt.Errorf("%s: %w", filepath.Base(name), err)
			}
		}
	}
	return len(files), nil
}
