// Package hospital is an SDK for calling the core systems of a multi-campus
// hospital group: HIS, EMR, LIS and PACS, and any other behind the same doors.
//
// A program describes the group once, in a hospital.yaml ([LoadConfig]) or as a
// [Config], and makes one [Client]. From then on every call is routed by campus,
// fails over between two active data centres and a standby, is sent again only
// where that is safe, and is traced:
//
//	cfg, err := hospital.LoadConfig("hospital.yaml")
//	...
//	client, err := hospital.New(cfg)
//	...
//	defer client.Close()
//	desk := his.New(client)
//	booking, err := desk.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slot})
//
// The typed verbs live in a package per system: his, lis, pacs. They are written with
// [Read], [Stream], [Across] and [Write], which are exported: a fifth system is written
// the same way, over FHIR or, with [Client.Exchange], over HTTP of its own.
// [Client.FHIR] and [Client.HTTP] reach what has no verb, with the same routing
// and protection.
//
// # Never twice, never silently
//
// A write that must not happen twice takes a Number: a business number the
// caller stores before the call ([NewNumber]). The call may then be repeated
// with the same Number, after a crash too, and happens once. When the SDK cannot
// find out what became of a write within the time given, it says so with
// [ErrOutcomeUnknown].
//
// # What to do with ErrOutcomeUnknown
//
// It means: the request may have been executed, or may still be running, and a
// look could not settle it. It is neither success nor failure. So:
//
//   - Never make the act again under a new Number. That is how an order is placed
//     or a bill charged twice.
//   - Keep the Number with the act, as open, before anything else: the process may
//     end. errors.As gives the [*Error]; its Number is the one you gave.
//   - After RetryAfter, by when a lost request has surely ended, ask [Error.Resolve]:
//     true, it happened; false, it did not and no longer can; an error, nobody could
//     be asked, so ask again later.
//   - Or simply repeat the call with the same Number. It looks first, and does only
//     what is missing. After a crash, and in another process, this is the way, with
//     [Repeated]: it waits out a request that the dead process may still have under
//     way. To ask only, from the Number alone, there is [Resolve]: his has it as a verb,
//     with lis and pacs repeat the call with [Repeated].
//   - Tell people what is true: "we are checking", not "failed, please try again".
//
// The loop of a program that has stored the Number:
//
//	for {
//		booked, err := desk.Book(ctx, request) // the same Number each time
//		var e *hospital.Error
//		if !errors.As(err, &e) || e.Code != hospital.ErrOutcomeUnknown {
//			return booked, err
//		}
//		wait(ctx, max(e.RetryAfter, time.Second))
//	}
//
// [Client.FHIR] and [Client.HTTP] have no Number to look up: after an unknown
// outcome only the program can know how to look.
//
// # What each promise needs from your servers
//
// The SDK keeps its promises on the client's side. Some of them need something of
// the server, which is declared per endpoint (campus.Contract) once it is proved by
// trying, never because a header is accepted or a statement lists it
// ([Client.Doubts] shows where the two disagree):
//
//	promise                              needs                                     declared as          without it
//	reads survive a lost data centre     two doors to one store                    stores, endpoints    one door, no failover
//	a write with a Number happens once   search by that identifier, strongly       (always)             the verb cannot be used
//	... also when two are sent at once   a unique key behind If-None-Exist         conditionalCreate:   the second waits until the first has surely
//	                                                                               atomic               ended (serverTimeout), then looks
//	one slot, one patient                If-Match checked, in transactions too     versioning           looked at afterwards; the later gives way
//	a lost write is sent again at once   the same                                  versioning           wait, look, then again
//	a client-made id is a lock           a PUT to a new id creates it, once        updateCreate         as a create
//	a failed write may be repeated       503, 500 mean that nothing was done       notExecuted,         the outcome is unknown, and looked up
//	                                                                               rollsBackOn5xx
//	a lost store of images goes on at    an instance stored again is stored once   updateCreate         wait, look, then the rest
//	once
//	whose images                         issuer of patient and accession numbers   dicomweb:            ErrUnexpectedAnswer for numbers of nobody
//	                                                                               patientIssuer
//	never another person's record        Patient.identifier with system and value  (always)             ErrFilterIgnored, ErrAmbiguousPatient
//	strong reads are fresh               Cache-Control: no-cache honoured          (cannot be told)     a kept result may look like an absence
//	who did what can be shown            nothing; a store for records of yours     auditRequired        calls are refused
//
// A standby answers reads only where it is declared readable, and is written only
// after a description names it a writer. What is asked of one door behind a
// balancer (one name for both data centres: campus.VIP) still has classification,
// safe repetition and unknown outcomes, but no choice of site.
//
// # When something is lost
//
//	lost                          what callers see
//	a server, a data centre       nothing; reads of a site that only slows down are asked at the peer too
//	the store behind both sites   ErrStoreUnavailable at once, with Since and RetryAfter; the first call through after it is back
//	the one that writes           ErrWriteUnavailable after 2 s; reads go on
//	this machine's own network    ErrClientIsolated at once; no site is blamed
//	room                          ErrBusy: slow down
//
// All but the last are kinds of [ErrUnavailable]: nothing was executed.
// [Config].Failover has the times, and package failover says what follows from what.
//
// # Releases
//
// Drain what is to be upgraded, wait until it is empty, upgrade, restore: by
// [Client.Drain] in this process, by drained in the description for all that follow
// it, or by the health path that a balancer looks at. [Client.Drained] tells when;
// [Client.Status] names what is still under way. No payment is ever cut short. A and
// B run two versions meanwhile: [Sticky] keeps the steps of one workflow together.
// examples/greyrelease shows all three; examples/outagedrill plays the promises.
//
// # Who acts
//
// [As] says who acts, for which organization and why; [Config].Audit keeps a record
// of each call, apart from logs, and [Config].AuditRequired names systems that are
// not called without. Access in an emergency is a purpose, [BreakGlass], with a
// reason that the auditor reads first.
//
// # Errors
//
// Every error of a call is an [*Error] with a [Code]: errors.Is(err, hospital.ErrConflict).
// Two are not: those of [Client.FHIR], which [CodeOf] maps, and the [*PartialError] at the
// end of a call across campuses. That holds an error per campus, of which errors.As finds
// any: use errors.Is and [CodeOf] there. Errors print no patient data, no token and no URL,
// by any route.
package hospital
