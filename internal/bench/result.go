package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// result is a row of the table.
type result struct {
	Fault        string `json:"fault"`
	Contender    string `json:"contender"`
	Calls        ms     `json:"calls"`
	FailedReads  ms     `json:"failed_reads"`
	FailedWrites ms     `json:"failed_writes"`
	Unknown      ms     `json:"unknown_writes"`
	SlowReads    ms     `json:"slow_reads"`
	LongestGap   ms     `json:"longest_gap_ms"`
	Duplicates   ms     `json:"duplicates"`
	Attempts     ms     `json:"attempts_per_call_healthy"`
	PeerFirst    ms     `json:"peer_first_ms"`
	Back         ms     `json:"back_home_ms"`
}

// ms is a measured number, of milliseconds mostly. Infinity is never, NaN does not apply.
type ms float64

var (
	never = ms(math.Inf(1))
	none  = ms(math.NaN())
)

func (m ms) String() string {
	switch {
	case math.IsInf(float64(m), 0):
		return "never"
	case math.IsNaN(float64(m)):
		return "-"
	case m == ms(math.Trunc(float64(m))):
		return fmt.Sprintf("%.0f", float64(m))
	default:
		return fmt.Sprintf("%.3g", float64(m))
	}
}

// MarshalJSON writes a number, or "never" or "-".
func (m ms) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(m), 0) || math.IsNaN(float64(m)) {
		return json.Marshal(m.String())
	}
	return json.Marshal(float64(m))
}

func millis(d time.Duration) ms { return ms(d.Milliseconds()) }

// slowRead is what a person at a counter begins to notice.
const slowRead = 100 * time.Millisecond

func (r *run) result(contender, fault string) *result {
	out := &result{
		Fault: fault, Contender: contender, Calls: ms(len(r.samples)),
		LongestGap: r.longestGap(), Duplicates: ms(r.sites.store.duplicates()),
		Attempts: ms(r.sites.store.attemptsPerCall()), PeerFirst: r.peerFirst(), Back: r.back(),
	}
	for _, s := range r.samples {
		switch {
		case !s.ok && s.write:
			out.FailedWrites++
		case !s.ok:
			out.FailedReads++
		}
		if s.unknown {
			out.Unknown++
		}
		if !s.write && s.end-s.start > slowRead {
			out.SlowReads++
		}
	}
	return out
}

// longestGap is the longest time without a success that touches or follows the
// onset, up to the end of the load.
func (r *run) longestGap() ms {
	var ends []time.Duration
	for _, s := range r.samples {
		if s.ok && s.end <= r.options.length {
			ends = append(ends, s.end)
		}
	}
	slices.Sort(ends)
	ends = append(ends, r.options.length)
	var last, longest time.Duration
	for _, end := range ends {
		if end > r.onset {
			longest = max(longest, end-last)
		}
		last = end
	}
	return millis(longest)
}

// peerFirst is from the onset to the first answer of the peer.
func (r *run) peerFirst() ms {
	first := never
	for _, s := range r.samples {
		if s.ok && s.from == "peer" && s.end > r.onset {
			first = min(first, millis(s.end-r.onset))
		}
	}
	return first
}

// back is from the fault's end to home's first answer to a call begun after it;
// it does not apply to who never left home.
func (r *run) back() ms {
	if r.peerFirst() > millis(r.end-r.onset) {
		return none
	}
	first := never
	for _, s := range r.samples {
		if s.ok && s.from == "home" && s.start >= r.end {
			first = min(first, millis(s.end-r.end))
		}
	}
	return first
}

// medians folds repeats of one row into one, number by number.
func medians(repeats []*result) *result {
	out := *repeats[0]
	for _, field := range []func(*result) *ms{
		func(r *result) *ms { return &r.Calls },
		func(r *result) *ms { return &r.FailedReads },
		func(r *result) *ms { return &r.FailedWrites },
		func(r *result) *ms { return &r.Unknown },
		func(r *result) *ms { return &r.SlowReads },
		func(r *result) *ms { return &r.LongestGap },
		func(r *result) *ms { return &r.Duplicates },
		func(r *result) *ms { return &r.Attempts },
		func(r *result) *ms { return &r.PeerFirst },
		func(r *result) *ms { return &r.Back },
	} {
		values := make([]ms, len(repeats))
		for i, r := range repeats {
			values[i] = *field(r)
		}
		*field(&out) = median(values)
	}
	return &out
}

// median is the middle one; of two, the lower.
func median[T ms | float64](values []T) T {
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
