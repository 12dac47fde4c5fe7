// Package fhir is a client of the FHIR R4 REST API (section 3.1 of the
// specification) over anything that can send a request: an *http.Client, or the
// Doer of a hospital, which adds routing and failover.
//
// It trusts no success: the type and id of what came are compared with what was
// asked; a search's self link must name every filter that was sent, because
// servers ignore filters they do not know and then return everyone; a page that
// claims more matches than it holds is an error; an answer that is not FHIR (a
// gateway's HTML, a bare 404) is [ErrForeign], never "not found".
//
// Functions with a type parameter are free functions because Go's methods take
// none:
//
//	patient, _, err := fhir.Read[*r4.Patient](ctx, client, "1001")
//
// Errors carry no URL, no body and no text a server wrote. A [Client] is safe
// for concurrent use.
package fhir
