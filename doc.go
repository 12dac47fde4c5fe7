// Package hospital is an SDK for calling the core systems of a multi-campus
// hospital group: HIS, EMR, LIS and PACS, and any other behind the same doors.
//
// A program describes the group once ([Config]) and makes one [Client]. From
// then on every call is routed by campus, fails over between two active data
// centres and a standby, is sent again only where that is safe, and is traced:
//
//	client, err := hospital.New(cfg)
//	...
//	defer client.Close()
//	desk := his.New(client)
//	booking, err := desk.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slot})
//
// The typed verbs live in a package per system: his so far. They are written with
// [Read] and [Write], which are exported: a fifth system is written the same way.
// [Client.FHIR] and [Client.HTTP] reach what has no verb, with the same routing
// and protection.
//
// # Never twice, never silently
//
// A write that must not happen twice takes a Number: a business number the
// caller stores before the call ([NewNumber]). The call may then be repeated
// with the same Number, after a crash too, and happens once. When the SDK cannot
// find out what became of a write within the time given, it says so with
// [ErrOutcomeUnknown]: do not send another one under a new Number. After the
// error's RetryAfter ask [Error.Resolve], or repeat the call with the same Number;
// within one process a call repeated sooner waits by itself.
//
// # Errors
//
// Every error of a call is an [*Error] with a [Code], but for those of [Client.FHIR],
// which [CodeOf] maps: errors.Is(err, hospital.ErrConflict).
// Errors print no patient data, no token and no URL, by any route.
package hospital
