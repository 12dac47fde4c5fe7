package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
)

// result is one row of the report.
type result struct {
	Fault      string `json:"fault"`
	Calls      int    `json:"calls"`
	Failed     int    `json:"failed"`
	Duplicated int    `json:"duplicated"`
	Lost       int    `json:"lost"`
	Unknown    int    `json:"unknown"`
	// GapMS is the longest time without a success. SwitchMS is from the fault to the
	// first answer of another site, BackMS from its end to home's; -1: there was none.
	GapMS           int64   `json:"gap_ms"`
	SwitchMS        int64   `json:"switch_ms"`
	BackMS          int64   `json:"back_ms"`
	AttemptsPerCall float64 `json:"attempts_per_call"`
	Kept            bool    `json:"kept"`
	Skipped         string  `json:"skipped,omitempty"`

	row                             row
	Attempts                        float64 `json:"-"`
	othersFailed, ejections, astray int
	back                            time.Duration
}

// drill plays one row and measures it.
func drill(ctx context.Context, r row, o options) (result, error) {
	m := result{Fault: r.fault, row: r, GapMS: -1, SwitchMS: -1, BackMS: -1, Kept: true, back: o.back}
	if o.config != "" && r.fromClient == "" {
		m.Skipped = "needs the servers to be broken"
		return m, nil
	}
	s, err := open(r, o)
	if err != nil {
		return m, err
	}
	defer s.close()
	brokenAt, mendedAt, err := s.play(ctx, r, o)
	if err != nil {
		return m, err
	}
	m.count(s, brokenAt, mendedAt)
	m.audit(ctx, s, mendedAt)
	m.Kept = r.kept(&m)
	return m, nil
}

// count is what callers saw.
func (m *result) count(s *stage, brokenAt, mendedAt time.Time) {
	slices.SortFunc(s.records, func(a, b record) int { return a.end.Compare(b.end) })
	last := brokenAt
	for _, r := range s.records {
		switch {
		case r.others && r.err != nil:
			m.othersFailed++
			continue
		case r.others:
			continue
		case errors.Is(r.err, hospital.ErrOutcomeUnknown):
			m.Unknown++
		case r.err != nil:
			m.Failed++
		}
		m.Calls++
		if r.err != nil {
			continue
		}
		if r.end.After(brokenAt) {
			m.GapMS = max(m.GapMS, r.end.Sub(last).Milliseconds())
			last = r.end
		}
		if m.SwitchMS < 0 && !r.at.Before(brokenAt) && r.end.Before(mendedAt) && r.from != s.home && r.from != "" {
			m.SwitchMS = r.end.Sub(brokenAt).Milliseconds()
		}
		if m.BackMS < 0 && !r.at.Before(mendedAt) && r.from == s.home {
			m.BackMS = r.end.Sub(mendedAt).Milliseconds()
		}
	}
	s.mu.Lock() // events may still come
	defer s.mu.Unlock()
	m.Attempts, m.ejections = float64(s.attempts), s.ejections
	if s.calls > 0 {
		m.AttemptsPerCall = float64(int(100*m.Attempts/float64(s.calls)+0.5)) / 100
	}
}

// audit compares what callers were told with the hospital's own books; after a
// promotion, with those of the store that is written now.
func (m *result) audit(ctx context.Context, s *stage, mendedAt time.Time) {
	if s.hosp == nil {
		return
	}
	m.Duplicated = len(s.hosp.Ledger().Doubled())
	for _, r := range s.records {
		if r.number == "" || r.err != nil {
			continue
		}
		switch {
		case s.promotedAt.IsZero():
			if s.hosp.Count(campus.HIS, "ServiceRequest", numberSystem, r.number) == 0 {
				m.Lost++
			}
		case r.at.After(s.promotedAt):
			if _, err := hospital.Resolve(ctx, s.client, orderOp, r.number, find(r.number)); err != nil {
				m.Lost++
			}
		}
	}
	if s.promotedAt.IsZero() {
		return
	}
	for _, e := range s.hosp.Ledger().Entries() {
		if e.Time.After(mendedAt) && e.Executed && e.DataCenter != "dr" {
			m.astray++
		}
	}
}

func word(lang string, kept bool) string {
	switch {
	case lang == "zh" && kept:
		return "兑现"
	case lang == "zh":
		return "未兑现"
	case kept:
		return "kept"
	}
	return "BROKEN"
}

// report prints all rows.
func report(out io.Writer, o options, results []result) error {
	if o.json {
		data, err := json.Marshal(map[string]any{"rows": results})
		if err == nil {
			_, err = fmt.Fprintln(out, string(data))
		}
		return err
	}
	if o.lang == "zh" {
		fmt.Fprintf(out, "容灾演练报告  %s\n\n", time.Now().Format("2006-01-02 15:04"))
	} else {
		fmt.Fprintf(out, "Outage drill  %s\n\n", time.Now().Format("2006-01-02 15:04"))
	}
	for _, r := range results {
		r.print(out, o.lang)
	}
	constants(out, o)
	return nil
}

func (m *result) print(out io.Writer, lang string) {
	if m.Skipped != "" {
		fmt.Fprintf(out, "%s: %s\n\n", m.row.what.in(lang), text{"not drilled: it needs the servers to be broken", "未演练:需要在服务器侧制造故障"}.in(lang))
		return
	}
	fmt.Fprintf(out, "%s\n", m.row.what.in(lang))
	format := text{
		"  calls %d, failed %d, doubled %d, lost %d, unknown %d; longest gap %s, switched after %s, home after %s; %.2f attempts per call\n  promise: %s: %s\n\n",
		"  调用 %d 次,失败 %d,重复 %d,丢失 %d,结果未知 %d;最长中断 %s,切换用时 %s,回切用时 %s;每次调用 %.2f 次请求\n  承诺:%s:%s\n\n",
	}
	fmt.Fprintf(out, format.in(lang), m.Calls, m.Failed, m.Duplicated, m.Lost, m.Unknown, ms(m.GapMS), ms(m.SwitchMS), ms(m.BackMS),
		m.AttemptsPerCall, m.row.promise.in(lang), word(lang, m.Kept))
}

func ms(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprintf("%d ms", n)
}

func (t text) in(lang string) string {
	if lang == "zh" {
		return t.zh
	}
	return t.en
}

// constants are part of what was measured.
func constants(out io.Writer, o options) {
	show := func(d time.Duration) time.Duration {
		if d == 0 {
			return time.Minute
		}
		return max(d, 0)
	}
	format := text{
		"Constants: each fault %s; %d reads and %d writes a second; first ejection and hold-down %s, growth of a returning share %s (the SDK's own: 5s, and 1m0s each).\n",
		"参数:每项故障持续 %s;每秒读 %d 次、写 %d 次;首次摘除与回切保持期 %s,回切放量期 %s(SDK 默认摘除 5s,其余各 1m0s)。\n",
	}
	writes := writesPerSecond
	if o.config != "" {
		writes = 0
	}
	fmt.Fprintf(out, format.in(o.lang), o.fault, readsPerSecond, writes, show(o.holdDown), show(o.growth))
}
