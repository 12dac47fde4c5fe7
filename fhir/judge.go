package fhir

import (
	"bytes"
	"mime"
	"net/http"
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
	switch typ, err := r4.Peek(body); {
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
	case http.StatusCreated, http.StatusNoContent:
		return i.Name == "create" || i.Name == "update"
	}
	return false
}

// judge turns an answer that is not a success into its error.
func judge(i Interaction, resp *http.Response, body []byte) error {
	shape, typ := ShapeOf(resp, body)
	ok := succeeded(i, resp.StatusCode)
	switch {
	case shape == ShapeForeign:
		return ErrForeign
	case !ok && shape == ShapeOutcome:
		outcome, err := r4.Decode[*r4.OperationOutcome](body)
		if err != nil {
			return ErrForeign
		}
		return newOutcomeError(resp.StatusCode, outcome)
	case !ok && resp.StatusCode < 300:
		return ErrUnexpected // 202, 206: not the answer, or not all of it
	case !ok:
		return ErrForeign // a refusal in FHIR is an OperationOutcome
	case shape == ShapeEmpty && (i.Name == "create" || i.Name == "update"):
		return nil
	case shape == ShapeEmpty, i.Expect != "" && typ != i.Expect:
		return ErrUnexpected
	}
	return nil
}
