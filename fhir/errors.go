package fhir

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Errors of this package, for errors.Is. A refusal by the server is an
// [*OutcomeError] and, by its status, one of the first five.
var (
	ErrNotFound     = errors.New("fhir: not found")                                                      // 404
	ErrGone         = errors.New("fhir: deleted")                                                        // 410
	ErrConflict     = errors.New("fhir: conflict")                                                       // 409
	ErrPrecondition = errors.New("fhir: precondition failed; read the current version and decide again") // 412
	ErrInvalid      = errors.New("fhir: refused by the server's rules")                                  // 400, 422

	// ErrForeign: something other than the FHIR server answered, such as a gateway.
	ErrForeign = errors.New("fhir: the answer is not FHIR; something in between answered")
	// ErrUnexpected: the answer is FHIR but not what was asked for.
	ErrUnexpected = errors.New("fhir: the answer is not what was asked for")
	// ErrFilterIgnored: the server dropped a search parameter.
	ErrFilterIgnored = errors.New("fhir: the server ignored a search parameter")
	// ErrIncomplete: fewer matches came than the server counted.
	ErrIncomplete = errors.New("fhir: the search result is incomplete")
	// ErrLink: a link leads to another server.
	ErrLink = errors.New("fhir: refused a link that leads away from the server; declare it as an alias if it is its own")
	// ErrCursorLost is what a Doer returns when the server that holds a page
	// cursor cannot be reached; the search then begins again and skips what was delivered.
	ErrCursorLost = errors.New("fhir: page cursor lost")
	// ErrPageLost: the pages could not be continued without skipping something.
	ErrPageLost = errors.New("fhir: could not continue the pages; start the search again")
	// ErrTooLarge: the answer exceeds the client's limit.
	ErrTooLarge = errors.New("fhir: answer too large; ask for less or raise the limit")
	// ErrCut: the answer ended early.
	ErrCut = errors.New("fhir: the answer ended early")
	// ErrNotDeclared: the server's statement does not list it; nothing was sent.
	ErrNotDeclared = errors.New("fhir: the server does not declare it; nothing was sent")
	// ErrRequest: the arguments make no request, such as an id with a slash.
	ErrRequest = errors.New("fhir: invalid request; check the type and the id")
)

// Issue is one problem of an OperationOutcome, without the server's prose.
type Issue struct {
	// Severity is fatal, error, warning or information.
	Severity string
	// Code is of http://hl7.org/fhir/issue-type, "unknown" when it is not.
	Code string
}

// OutcomeError is a refusal by the server. What the server wrote about it may
// name a patient: it is kept aside in Outcome and never printed.
type OutcomeError struct {
	Status  int
	Issues  []Issue
	outcome *r4.OperationOutcome
}

// Outcome returns what the server said, which may contain patient data.
func (e *OutcomeError) Outcome() *r4.OperationOutcome { return e.outcome }

func (e *OutcomeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fhir: server refused with status %d", e.Status)
	for _, i := range e.Issues {
		fmt.Fprintf(&b, " [%s %s]", i.Severity, i.Code)
	}
	return b.String()
}

// GoString prints what Error does.
func (e *OutcomeError) GoString() string { return e.Error() }

// Is maps the status to this package's errors.
func (e *OutcomeError) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound:
		return target == ErrNotFound
	case http.StatusGone:
		return target == ErrGone
	case http.StatusConflict:
		return target == ErrConflict
	case http.StatusPreconditionFailed:
		return target == ErrPrecondition
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return target == ErrInvalid
	}
	return false
}

func newOutcomeError(status int, outcome *r4.OperationOutcome) *OutcomeError {
	e := &OutcomeError{Status: status, outcome: outcome}
	for _, i := range outcome.Issue {
		if len(e.Issues) == 8 {
			break
		}
		e.Issues = append(e.Issues, Issue{Severity: known(i.Severity, severities), Code: known(i.Code, issueTypes)})
	}
	return e
}

var severities = []string{r4.IssueSeverityFatal, r4.IssueSeverityError, r4.IssueSeverityWarning, r4.IssueSeverityInformation}

var issueTypes = []string{
	r4.IssueTypeInvalid, r4.IssueTypeStructure, r4.IssueTypeRequired, r4.IssueTypeValue, r4.IssueTypeInvariant,
	r4.IssueTypeSecurity, r4.IssueTypeLogin, r4.IssueTypeExpired, r4.IssueTypeForbidden, r4.IssueTypeSuppressed,
	r4.IssueTypeProcessing, r4.IssueTypeNotSupported, r4.IssueTypeDuplicate, r4.IssueTypeMultipleMatches,
	r4.IssueTypeNotFound, r4.IssueTypeDeleted, r4.IssueTypeTooLong, r4.IssueTypeCodeInvalid, r4.IssueTypeExtension,
	r4.IssueTypeTooCostly, r4.IssueTypeBusinessRule, r4.IssueTypeConflict, r4.IssueTypeTransient, r4.IssueTypeLockError,
	r4.IssueTypeNoStore, r4.IssueTypeException, r4.IssueTypeTimeout, r4.IssueTypeIncomplete, r4.IssueTypeThrottled,
	r4.IssueTypeInformational,
}

// known lets only words of the standard into an error.
func known(word string, words []string) string {
	for _, w := range words {
		if w == word {
			return w
		}
	}
	return "unknown"
}
