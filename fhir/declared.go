package fhir

import (
	"slices"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Declared is what a server says of itself in its CapabilityStatement: hints of
// what to try, never proof that it is honoured. The nil Declared declares
// nothing. It is immutable and safe for concurrent use.
type Declared struct {
	statement *r4.CapabilityStatement
	rest      []*r4.CapabilityStatementRest
}

// NewDeclared reads a statement, which must not be changed afterwards.
func NewDeclared(statement *r4.CapabilityStatement) *Declared {
	d := &Declared{statement: statement}
	if statement == nil {
		return d
	}
	for i := range statement.Rest {
		if statement.Rest[i].Mode != "client" {
			d.rest = append(d.rest, &statement.Rest[i])
		}
	}
	return d
}

// Statement returns the document itself, nil when there is none. It must not be changed.
func (d *Declared) Statement() *r4.CapabilityStatement {
	if d == nil {
		return nil
	}
	return d.statement
}

// Interaction reports whether the server lists the interaction on the type:
// "patch", "history-instance".
func (d *Declared) Interaction(typ, code string) bool {
	return d.some(typ, func(r *r4.CapabilityStatementRestResource) bool {
		return slices.ContainsFunc(r.Interaction, func(i r4.CapabilityStatementRestResourceInteraction) bool { return i.Code == code })
	})
}

// SearchParam reports whether the server lists the search parameter on the type.
func (d *Declared) SearchParam(typ, name string) bool {
	named := func(p r4.CapabilityStatementRestResourceSearchParam) bool { return p.Name == name }
	return d.some(typ, func(r *r4.CapabilityStatementRestResource) bool { return slices.ContainsFunc(r.SearchParam, named) }) ||
		d.any(func(r *r4.CapabilityStatementRest) bool { return slices.ContainsFunc(r.SearchParam, named) })
}

// Operation reports whether the server lists $name on the type, or for all of it.
func (d *Declared) Operation(typ, name string) bool {
	named := func(o r4.CapabilityStatementRestResourceOperation) bool {
		return strings.TrimPrefix(o.Name, "$") == name
	}
	return d.some(typ, func(r *r4.CapabilityStatementRestResource) bool { return slices.ContainsFunc(r.Operation, named) }) ||
		d.any(func(r *r4.CapabilityStatementRest) bool { return slices.ContainsFunc(r.Operation, named) })
}

// Patch reports whether the server lists patch on the type and JSON Patch among
// its formats.
func (d *Declared) Patch(typ string) bool {
	return d.Interaction(typ, "patch") && slices.ContainsFunc(d.statement.PatchFormat, func(f string) bool {
		return f == PatchMediaType || f == "application/json" || f == "json"
	})
}

// ConditionalCreate reports whether the server lists If-None-Exist on the type.
func (d *Declared) ConditionalCreate(typ string) bool {
	return d.some(typ, func(r *r4.CapabilityStatementRestResource) bool { return set(r.ConditionalCreate) })
}

// UpdateCreate reports whether the server lists update as create on the type.
func (d *Declared) UpdateCreate(typ string) bool {
	return d.some(typ, func(r *r4.CapabilityStatementRestResource) bool { return set(r.UpdateCreate) })
}

// Versioned reports whether the server says that an update of the type checks versions.
func (d *Declared) Versioned(typ string) bool {
	return d.some(typ, func(r *r4.CapabilityStatementRestResource) bool {
		return r.Versioning == r4.ResourceVersionPolicyVersionedUpdate
	})
}

func set(b *bool) bool { return b != nil && *b }

func (d *Declared) any(holds func(*r4.CapabilityStatementRest) bool) bool {
	return d != nil && slices.ContainsFunc(d.rest, holds)
}

func (d *Declared) some(typ string, holds func(*r4.CapabilityStatementRestResource) bool) bool {
	return d.any(func(rest *r4.CapabilityStatementRest) bool {
		for i := range rest.Resource {
			if r := &rest.Resource[i]; r.Type == typ && holds(r) {
				return true
			}
		}
		return false
	})
}
