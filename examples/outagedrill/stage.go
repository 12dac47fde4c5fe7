package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// stage is where one row is played: a hospital of the drill's own, or a client's
// network before a real one.
type stage struct {
	hosp       *fakes.Hospital // nil before a real one
	network    *network        // before a real one
	client     *hospital.Client
	other      *hospital.Client // another campus's, of the drill's own hospital
	source     *source
	home       campus.DataCenterID
	system     campus.SystemID
	patient    campus.PatientID
	mend       func()
	promotedAt time.Time

	mu        sync.Mutex
	records   []record
	calls     int
	attempts  int
	ejections int
}

// record is one call as its caller saw it.
type record struct {
	at, end time.Time
	number  string // of a write
	others  bool   // of the other campus
	from    campus.DataCenterID
	err     error
}

func (s *stage) close() {
	for _, c := range []*hospital.Client{s.client, s.other} {
		if c != nil {
			_ = c.Close()
		}
	}
	if s.hosp != nil {
		_ = s.hosp.Close()
	}
}

// open makes the stage of a row.
func open(r row, o options) (*stage, error) {
	s := &stage{mend: func() {}}
	if o.config != "" {
		return s, s.openReal(o)
	}
	var err error
	if s.hosp, err = fakes.New(append([]fakes.Option{fakes.WithLoopback()}, r.options...)...); err != nil {
		return nil, err
	}
	s.source = &source{next: make(chan campus.Description, 1)}
	s.home, s.system, s.patient = "dc-a", campus.HIS, s.hosp.Demo().Patients[0]
	cfg := s.hosp.Config()
	cfg.Source, cfg.SourceEvery = s.source, 50*time.Millisecond
	if s.client, err = s.connect(cfg, o, true); err == nil {
		s.other, err = s.connect(s.hosp.ConfigAt("guanggu"), o, false)
	}
	if err != nil {
		s.close()
	}
	return s, err
}

// openReal reads the configuration of a real hospital and puts the drill's network
// between.
func (s *stage) openReal(o options) error {
	cfg, err := hospital.LoadConfig(o.config)
	if err != nil {
		return err
	}
	s.network = &network{}
	cfg.Dial = s.network.between(&cfg)
	if s.client, err = s.connect(cfg, o, true); err != nil {
		return err
	}
	t := s.client.Topology()
	id := cfg.Campus
	if id == "" {
		id = t.Campuses()[0]
	}
	s.home, s.patient = t.Campus(id).Home, o.patient
	s.system = campus.HIS
	if t.System(campus.HIS) == nil {
		return errors.New("the description has no system his")
	}
	return nil
}

func (s *stage) connect(cfg hospital.Config, o options, counted bool) (*hospital.Client, error) {
	cfg.Failover = o.rules()
	if counted {
		cfg.OnAttempt = s.attempted
		cfg.OnEvent = s.event
	}
	return hospital.New(cfg)
}

func (s *stage) attempted(a failover.Attempt, _ failover.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if a.N == 1 {
		s.calls++
	}
}

func (s *stage) event(e failover.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.To == failover.Ejected {
		s.ejections++
	}
}

func (s *stage) add(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
