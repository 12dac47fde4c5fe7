package fhir

import (
	"bytes"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Shape is what kind of thing an answer is.
type Shape uint8

const (
	// ShapeForeign is not FHIR.
	ShapeForeign Shape = iota
	// ShapeResource is a complete FHIR resource.
	ShapeResource
	// ShapeOutcome is a complete OperationOutcome.
	ShapeOutcome
	// ShapeEmpty is no body, where that can be an answer.
	ShapeEmpty
)

// ShapeOf looks at an answer without decoding it and returns the resource type
// beside the shape. A document that is cut or not JSON is foreign.
func ShapeOf(resp *http.Response, body []byte) (Shape, string) {
	return shapeOf(resp, body, r4.Peek)
}

// shapeOf finds the type by peek, which looks at as much of the document as it must.
func shapeOf(resp *http.Response, body []byte, peek func([]byte) (string, error)) (Shape, string) {
	if len(bytes.TrimSpace(body)) == 0 {
		bodiless := resp.StatusCode == http.StatusNoContent ||
			(resp.StatusCode/100 == 2 && (resp.Header.Get("ETag") != "" || resp.Header.Get("Location") != ""))
		if bodiless {
			return ShapeEmpty, ""
		}
		return ShapeForeign, ""
	}
	if !isJSON(resp.Header.Get("Content-Type")) {
		return ShapeForeign, ""
	}
	switch typ, err := peek(body); {
	case err != nil:
		return ShapeForeign, ""
	case typ == "OperationOutcome":
		return ShapeOutcome, typ
	default:
		return ShapeResource, typ
	}
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == MediaType || media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// succeeded: which statuses answer the interaction.
func succeeded(i Interaction, status int) bool {
	switch status {
	case http.StatusOK:
		return true
	case http.StatusCreated:
		return i.Name == "create" || i.Name == "update"
	case http.StatusNoContent:
		return mayBeEmpty(i)
	}
	return false
}

// mayBeEmpty: what writes one resource may be answered without a body.
func mayBeEmpty(i Interaction) bool {
	switch i.Name {
	case "create", "update", "patch", "delete":
		return true
	}
	return i.Name == "operation" && i.Expect == ""
}

// Deleted reports whether an answer to a deletion says that what was to be deleted
// is gone already: then the deletion has happened. A 404 may also mean that the
// server knows no such type or route, so its OperationOutcome must say what it is.
func Deleted(i Interaction, status int, body []byte) bool {
	if i.Name != "delete" || (status != http.StatusNotFound && status != http.StatusGone) {
		return false
	}
	outcome, err := r4.Decode[*r4.OperationOutcome](body)
	return err == nil && isGone(status, outcome)
}

func isGone(status int, outcome *r4.OperationOutcome) bool {
	return status == http.StatusGone || (status == http.StatusNotFound && slices.ContainsFunc(outcome.Issue, func(i r4.OperationOutcomeIssue) bool {
		return i.Code == r4.IssueTypeNotFound || i.Code == r4.IssueTypeDeleted
	}))
}

// Contradicts reports whether the content of an answer speaks against a status
// that says success: it is of another type than was asked for, or an
// OperationOutcome that reports errors. typ is the type that [ShapeOf] found.
func Contradicts(i Interaction, typ string, body []byte) bool {
	switch {
	case typ == "":
		return false
	case i.Expect != "":
		return typ != i.Expect
	case typ != "OperationOutcome":
		return i.Name == "delete" && typ != i.Type // which may show what it deleted
	}
	outcome, err := r4.Decode[*r4.OperationOutcome](body)
	return err != nil || hasError(outcome)
}

// judge turns an answer that is not a success into its error.
func judge(i Interaction, resp *http.Response, body []byte) error {
	if Deleted(i, resp.StatusCode, body) && isJSON(resp.Header.Get("Content-Type")) {
		return nil
	}
	ok := succeeded(i, resp.StatusCode)
	peek := r4.Peek
	if ok && i.Expect != "" {
		peek = r4.TypeOf // the rest is read when it is decoded
	}
	shape, typ := shapeOf(resp, body, peek)
	switch {
	case shape != ShapeOutcome && resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") != "":
		return newOutcomeError(resp.StatusCode, &r4.OperationOutcome{}) // a gateway may ask for credentials in its own form
	case shape == ShapeForeign:
		return ErrForeign
	case !ok && shape == ShapeOutcome && resp.StatusCode >= 300:
		outcome, err := r4.Decode[*r4.OperationOutcome](body)
		if err != nil {
			return ErrForeign
		}
		return newOutcomeError(resp.StatusCode, outcome)
	case !ok && resp.StatusCode < 300:
		return ErrUnexpected // 202, 206: not the answer, or not all of it
	case !ok:
		return ErrForeign // a refusal in FHIR is an OperationOutcome
	case shape == ShapeEmpty && mayBeEmpty(i):
		return nil
	case shape == ShapeEmpty:
		return ErrUnexpected
	case Contradicts(i, typ, body):
		if _, broken := r4.Peek(body); broken != nil {
			return ErrForeign
		}
		return ErrUnexpected
	}
	return nil
}

func hasError(outcome *r4.OperationOutcome) bool {
	for _, i := range outcome.Issue {
		if i.Severity == r4.IssueSeverityError || i.Severity == r4.IssueSeverityFatal {
			return true
		}
	}
	return false
}
