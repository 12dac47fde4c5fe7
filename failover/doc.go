// Package failover sends one request to whichever endpoint should answer it.
//
// It knows a [campus.Topology], the health of every endpoint, and what each call
// declares about being sent again. It knows no FHIR and no telemetry library.
//
//	Client.Do ─▶ go-retryablehttp's loop ─▶ attempt
//	                 ▲                       │ pick from the Route, by health
//	                 │ again?                │ authorize, send on that endpoint's transport
//	                 └── the repeat table ◀──┘ classify what happened, charge the endpoint
//
// # What happened to an attempt
//
// Every attempt ends in one [Outcome], found by watching the connection
// (net/http/httptrace) and the shape of the answer, never by reading error
// texts: NotSent, NotExecuted, Rejected, Committed or Unknown.
//
// # What may be sent again
//
// NotSent and NotExecuted attempts may always be sent again. After Unknown it
// depends on what the call declares and what the endpoint was proved to honour:
//
//	declared   contract                      after Unknown
//	Safe       any                           again, anywhere on the Route
//	Guarded    versioning or update-create   again, same Store
//	Keyed      atomic conditional create     again, same Store
//	otherwise                                never: ErrOutcomeUnknown
//
// A call that only its caller can settle (look the Number up, then decide)
// comes back as [ErrOutcomeUnknown] with [Error.SettledAt], the moment after
// which the lost request can no longer be running.
//
// # Health
//
// Each endpoint has a [State] for reads and one for writes:
//
//	Healthy ──▶ Suspect ──▶ Ejected ──▶ Returning ──▶ Healthy
//	   ▲           │                       │
//	   └───────────┘                       └──▶ Ejected, for longer
//
// A refused connection is the endpoint's fault at once. A failure after sending is
// so only when the same call then works elsewhere, another operation fails there
// too, or a probe does: a request that breaks every server must not take them all
// out. Suspect endpoints step behind the healthy ones of their tier, ejected ones
// come last. On the way back one call at a time, and one that may be repeated,
// proves the endpoint; then it gets a growing share, as long as another one
// serves. Probes go only to what is not healthy. [Rules] has the times.
//
// What is bigger than one endpoint blames none. When every door of a store answers
// 5xx the store is down: calls fail at once with [ErrStoreUnavailable], one a
// second finds out, and the first success lets a growing share in. When two data
// centres are lost by faults that may be our own network's, and nobody was heard
// since, the client is isolated: [ErrClientIsolated].
//
// Operators ([Client.Drain]), descriptions (campus.Endpoint.Drained, Fenced) and
// balancers (campus.Endpoint.HealthPath) take endpoints out whatever their health:
// nothing new goes there, what is under way ends, and reads that do not are moved
// after Rules.DrainDeadline. What is proved to bear a repetition still goes to a
// drained, never to a fenced endpoint when nobody else is left; Origin.Drained
// says so.
//
// # Hedges
//
// A quick read that asks for it ([Call.Hedge]) is asked at a healthy peer too when
// the first is later than 99 of 100 are, and than 30 ms. The first success wins; a
// refusal never beats a first that is still under way. Hedges are at most 2 % of
// the reads, beside what was saved up for the moment when a site goes. A site that
// keeps losing is slow, whatever it would have said.
//
// # Behind a balancer's name
//
// Where an endpoint is a balancer's (campus.VIP) there is no choice of site. What
// holds: classification, safe repetition (over a new connection, so that the
// balancer chooses again), the breaker, bounds, unknown outcomes, drains. What does
// not: the peer asked at once, doors of one store told apart, hedges, and knowing
// who answered.
//
// Rules a caller must know: response bodies up to [Call.MaxBody] are read inside
// the attempt, so that a cut answer is a failed attempt and not a failed call;
// redirects are never followed; no proxy is taken from the environment; errors
// carry no URL, header or body; a request that was given up is not delivered later
// by a kernel that lingers.
//
// What the state machine does is written down as data in testdata, for any
// implementation.
package failover
