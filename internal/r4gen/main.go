// Command r4gen writes the types and codec of package fhir/r4 from the official
// StructureDefinitions, as the npm package hl7.fhir.r4.examples@4.0.1 (CC0-1.0)
// carries them. The package is fetched, never committed:
//
//	npm pack hl7.fhir.r4.examples@4.0.1 && tar xzf hl7.fhir.r4.examples-4.0.1.tgz
//	go run ./internal/r4gen -in package -out fhir/r4
//
// To add a resource type, add it to roots and run the command.
package main

import (
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
)

// roots are the resource types to generate; data types follow from them.
var roots = []string{
	"Account", "AllergyIntolerance", "Appointment", "AuditEvent", "Binary", "Bundle", "CapabilityStatement", "ChargeItem", "Claim",
	"Communication", "Composition", "Condition", "Consent", "Coverage", "Device", "DiagnosticReport", "DocumentReference",
	"Encounter", "Flag", "ImagingStudy", "Invoice", "Location", "Medication", "MedicationAdministration", "MedicationDispense",
	"MedicationRequest", "MedicationStatement", "Observation", "OperationOutcome", "Organization", "Parameters", "Patient",
	"PaymentReconciliation", "Person", "Practitioner", "PractitionerRole", "Procedure", "Provenance", "RelatedPerson", "Schedule",
	"ServiceRequest", "Slot", "Specimen", "Subscription", "Task",
}

func main() {
	in := flag.String("in", "package", "folder of the unpacked npm package")
	out := flag.String("out", "fhir/r4", "folder of package r4")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "r4gen:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	m := &model{dir: in, types: map[string]*goType{}, sets: map[string]*valueSet{}}
	for _, name := range roots {
		if err := m.add(name); err != nil {
			return err
		}
	}
	files := map[string][]byte{
		"zz_datatypes.go": emitTypes(m, func(t *goType) bool { return !t.resource && t.root == t.name }),
		"zz_registry.go":  emitRegistry(),
		"zz_codes.go":     emitCodes(m),
		// The same structs for encoding/json, to measure against.
		"zz_plain_test.go": emitPlain(m, "Bundle", "Observation"),
	}
	for _, name := range roots {
		files["zz_"+lower(name)+".go"] = emitTypes(m, func(t *goType) bool { return t.root == name })
	}
	for name, src := range files {
		src, err := format.Source(src)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(out, name), src, 0o644); err != nil { //nolint:gosec // source files are world-readable
			return err
		}
	}
	return nil
}
