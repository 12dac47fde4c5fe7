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
// Rules a caller must know: response bodies up to [Call.MaxBody] are read inside
// the attempt, so that a cut answer is a failed attempt and not a failed call;
// redirects are never followed; no proxy is taken from the environment; errors
// carry no URL, header or body.
package failover
