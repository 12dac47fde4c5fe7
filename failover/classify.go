package failover

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// MaxRetryAfter bounds what a server may ask of a client.
const MaxRetryAfter = 5 * time.Minute

// ClassifyHTTP judges an answer by its status alone, for systems that speak
// plain HTTP. An HTML page is never such a system's answer.
func ClassifyHTTP(call *Call, resp *http.Response, _ []byte) Verdict {
	if isHTML(resp) {
		return Verdict{Outcome: Unknown, Fault: FaultForeign}
	}
	return ClassifyStatus(call, resp)
}

func isHTML(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
}

// ClassifyStatus is the part of classification that every protocol shares.
func ClassifyStatus(_ *Call, resp *http.Response) Verdict {
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests:
		return Verdict{Outcome: NotExecuted, Fault: FaultOverload}
	case s == http.StatusMisdirectedRequest, s == http.StatusTooEarly:
		return Verdict{Outcome: NotExecuted, Fault: FaultStatus}
	case s == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return Verdict{Outcome: Unknown, Fault: FaultOverload}
	case s == http.StatusNotImplemented:
		return Verdict{Outcome: Rejected, Fault: FaultNone}
	case s == http.StatusProxyAuthRequired, s == http.StatusRequestTimeout:
		return Verdict{Outcome: Unknown, Fault: FaultForeign}
	case s >= 500:
		return Verdict{Outcome: Unknown, Fault: FaultStatus}
	case s == http.StatusNotModified, s >= 200 && s < 300:
		return Verdict{Outcome: Committed, Fault: FaultNone}
	case s >= 400:
		return Verdict{Outcome: Rejected, Fault: FaultNone}
	}
	return Verdict{Outcome: Unknown, Fault: FaultForeign} // 1xx, 3xx: a redirect is not an answer
}

// settle applies what the endpoint's contract says of a status.
func settle(v Verdict, status int, c campus.Contract) Verdict {
	if v.Fault == FaultNone && v.Outcome < Rejected {
		v.Fault = FaultForeign // what is not settled is no success of the endpoint's
	}
	if v.Outcome != Unknown || v.Fault == FaultForeign {
		return v
	}
	if slices.Contains(c.NotExecuted, status) || (status >= 500 && v.Stated && c.RollsBackOn5xx) {
		v.Outcome = NotExecuted
	}
	return v
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds or a date,
// never negative, never beyond [MaxRetryAfter]; garbage is zero.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(max(0, n)) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), MaxRetryAfter)
}
