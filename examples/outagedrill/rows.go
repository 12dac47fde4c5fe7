package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// row is one fault and what is promised under it.
type row struct {
	fault         string
	what, promise text
	options       []fakes.Option
	breaks, mends func(ctx context.Context, s *stage) error
	fromClient    string // how the client's own network can play it; "" if it cannot
	kept          func(m *result) bool
}

// text is in English and Chinese.
type text struct{ en, zh string }

func noneFailed(m *result) bool {
	return m.Failed == 0 && m.Unknown == 0 && m.Duplicated == 0 && m.Lost == 0
}

// nothingLost: calls may fail, typed and at once; nothing is done twice or forgotten.
func nothingLost(m *result) bool { return m.Duplicated == 0 && m.Lost == 0 }

func (m *result) backInTime() bool { return m.BackMS >= 0 && m.BackMS <= m.back.Milliseconds() }

func server(dc campus.DataCenterID) failover.Selector {
	return failover.Selector{System: campus.HIS, DataCenter: dc}
}

// rows are in the order of the promise table.
var rows = []row{
	{
		fault: "host", what: text{"a host is lost", "一台主机故障"}, promise: text{"no call notices", "业务无感知(RPO 0,RTO 0)"},
		breaks:     func(_ context.Context, s *stage) error { s.hosp.StopAt(server("dc-a")); return nil },
		mends:      func(_ context.Context, s *stage) error { return s.hosp.StartAt(server("dc-a")) },
		fromClient: refuse, kept: noneFailed,
	},
	{
		fault: "site", what: text{"the main site is lost, without a word", "主数据中心失联(黑洞)"}, promise: text{"no call fails, nothing is lost", "调用不失败,数据不丢失(RPO 0)"},
		breaks: func(_ context.Context, s *stage) error {
			if err := s.hosp.Hang("dc-a", true); err != nil { // only Linux lets packets vanish on loopback
				s.hosp.Stop("dc-a")
			}
			return nil
		},
		mends: func(_ context.Context, s *stage) error {
			_ = s.hosp.Hang("dc-a", false)
			return s.hosp.Start("dc-a")
		},
		fromClient: hang, kept: noneFailed,
	},
	{
		fault: "store", what: text{"the store is gone at both sites", "双中心数据库均不可用"}, promise: text{"fast typed errors, no storm, back within 2 s", "快速明确报错,不产生重试风暴,恢复后 2 秒内可用"},
		breaks: func(_ context.Context, s *stage) error { s.hosp.StoreDown("his", true); return nil },
		mends:  func(_ context.Context, s *stage) error { s.hosp.StoreDown("his", false); return nil },
		kept: func(m *result) bool {
			return nothingLost(m) && m.Attempts <= 1.1*float64(m.Calls)+50 && m.backInTime()
		},
	},
	{
		fault: "promotion", what: text{"both sites are lost, the standby is promoted", "双中心失效,灾备提升为主"},
		promise: text{"writes go to the standby and nowhere else; nothing is done twice", "写入只到灾备,旧主恢复后不再写入,不重复"},
		options: []fakes.Option{fakes.WithReadableStandby(), fakes.WithLag(200 * time.Millisecond)},
		breaks:  promote,
		mends:   func(_ context.Context, s *stage) error { return s.hosp.Start("dc-a") }, // the old writer is back, and must get nothing
		kept: func(m *result) bool {
			return nothingLost(m) && m.astray == 0 && m.SwitchMS >= 0
		},
	},
	{
		fault: "campus", what: text{"a campus is cut off", "院区网络中断"}, promise: text{"it is told so; the others notice nothing; back within 2 s", "本院区明确报错,其他院区无感知,恢复后 2 秒内可用"},
		breaks:     func(_ context.Context, s *stage) error { s.hosp.Isolate("hankou", true); return nil },
		mends:      func(_ context.Context, s *stage) error { s.hosp.Isolate("hankou", false); return nil },
		fromClient: isolate,
		kept: func(m *result) bool {
			return nothingLost(m) && m.othersFailed == 0 && m.ejections == 0 && m.backInTime()
		},
	},
	{
		fault: "brownout", what: text{"the main site answers half a second late", "主数据中心变慢(延迟 0.5 秒)"}, promise: text{"no call fails", "调用不失败"},
		breaks: func(_ context.Context, s *stage) error {
			s.mend = s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: fakes.Action{Delay: 500 * time.Millisecond, Late: true}})
			return nil
		},
		mends: mendRule, fromClient: slow, kept: noneFailed,
	},
	{
		fault: "flapping", what: text{"the main site comes and goes", "主数据中心反复通断"}, promise: text{"no call fails", "调用不失败"},
		breaks: flap, mends: func(_ context.Context, s *stage) error { s.mend(); return s.hosp.Start("dc-a") },
		fromClient: flapping, kept: noneFailed,
	},
	{
		fault: "cut", what: text{"answers are cut in the middle", "应答中途截断"}, promise: text{"no call fails, nothing is done twice", "调用不失败,不重复"},
		breaks: func(_ context.Context, s *stage) error {
			s.mend = s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: fakes.Action{CutAfter: 40}})
			return nil
		},
		mends: mendRule, fromClient: cut, kept: noneFailed,
	},
	{
		fault: "lost-answer", what: text{"writes are executed, their answers lost", "写入已执行,应答丢失"}, promise: text{"no call fails, nothing is done twice", "调用不失败,不重复"},
		breaks: func(_ context.Context, s *stage) error {
			s.mend = s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "create"}, Do: fakes.Action{ResetAfter: true}})
			return nil
		},
		mends: mendRule, kept: noneFailed,
	},
	{
		fault: "release", what: text{"grey release of the main site", "主数据中心灰度升级"}, promise: text{"no call fails", "调用不失败"},
		breaks: func(ctx context.Context, s *stage) error {
			s.client.Drain(failover.Selector{DataCenter: "dc-a"})
			for !s.client.Drained(failover.Selector{DataCenter: "dc-a"}) && ctx.Err() == nil {
				wait(ctx, 5*time.Millisecond)
			}
			if s.hosp != nil {
				s.hosp.Stop("dc-a")
			}
			return nil
		},
		mends: func(_ context.Context, s *stage) error {
			defer s.client.Restore(failover.Selector{DataCenter: "dc-a"})
			if s.hosp != nil {
				return s.hosp.Start("dc-a")
			}
			return nil
		},
		fromClient: drained, kept: noneFailed,
	},
}

func mendRule(_ context.Context, s *stage) error { s.mend(); return nil }

// promote loses both sites, and has the standby take over a second later.
func promote(ctx context.Context, s *stage) error {
	s.hosp.Stop("dc-a")
	s.hosp.Stop("dc-b")
	wait(ctx, time.Second)
	s.hosp.Promote(campus.HIS)
	s.source.set(s.hosp.Description())
	s.promotedAt = time.Now()
	return nil
}

// flap stops and starts the site until it is mended.
func flap(ctx context.Context, s *stage) error {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for up := true; ctx.Err() == nil; up = !up {
			if up {
				s.hosp.Stop("dc-a")
			} else {
				_ = s.hosp.Start("dc-a")
			}
			wait(ctx, 400*time.Millisecond)
		}
	}()
	s.mend = func() { stop(); <-done }
	return nil
}

// chosen are the rows asked for.
func chosen(o options) ([]row, error) {
	if o.only == "" {
		return rows, nil
	}
	var out []row
	for name := range strings.SplitSeq(o.only, ",") {
		i := slices.IndexFunc(rows, func(r row) bool { return r.fault == name })
		if i < 0 {
			var known []string
			for _, r := range rows {
				known = append(known, r.fault)
			}
			return nil, fmt.Errorf("-only: no fault %q; known: %s", name, strings.Join(known, ", "))
		}
		out = append(out, rows[i])
	}
	return out, nil
}

// source brings the descriptions of the drill.
type source struct{ next chan campus.Description }

func (s *source) set(d campus.Description) { s.next <- d }

// Fetch makes it a hospital.Source.
func (s *source) Fetch(context.Context) ([]byte, error) {
	select {
	case d := <-s.next:
		return hospital.Document(d)
	default:
		return nil, hospital.ErrUnchanged
	}
}
