package r4

// Member is one JSON member kept verbatim.
type Member struct {
	// Name is the member's name, such as "_birthDate".
	Name string
	// Value is its JSON text.
	Value []byte

	// stash marks the value of a typed field that its Go type cannot show.
	stash bool
}

// Extra holds what a type has no field for: unknown members and the extensions
// of primitives. It is written back after the typed members.
type Extra []Member

// Get returns the JSON text of the member, nil when there is none.
func (x Extra) Get(name string) []byte {
	for i := range x {
		if x[i].Name == name && !x[i].stash {
			return x[i].Value
		}
	}
	return nil
}

func stash(x *Extra, name, value string) {
	*x = append(*x, Member{Name: name, Value: []byte(value), stash: true})
}

// Decimal is a FHIR decimal as text, so that 7.00 stays 7.00 and any number of
// digits survives. "" means absent. Section 2.24.0.1 of the specification.
type Decimal string

// Valid reports whether d is a number in JSON's form.
func (d Decimal) Valid() bool { return d != "" && scanNumber([]byte(d)) == len(d) }

// scanNumber returns how many bytes of s are one JSON number.
func scanNumber(s []byte) int {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	default:
		if i = digits(s, i); i < 0 {
			return 0
		}
	}
	if i < len(s) && s[i] == '.' {
		if i = digits(s, i+1); i < 0 {
			return 0
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i = digits(s, i); i < 0 {
			return 0
		}
	}
	return i
}

// digits returns the index after the digits at i, -1 when there are none.
func digits(s []byte, i int) int {
	start := i
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// Ptr returns a pointer to v: r4.Ptr(true), r4.Ptr(3).
func Ptr[T any](v T) *T { return &v }

// Text returns a CodeableConcept that carries only text.
func Text(text string) *CodeableConcept { return &CodeableConcept{Text: text} }

// Concept returns a CodeableConcept with one coding.
func Concept(system, code string) *CodeableConcept {
	return &CodeableConcept{Coding: []Coding{{System: system, Code: code}}}
}

// RefTo returns a literal Reference, "Patient/1001". It holds within one Store only.
func RefTo(typ, id string) *Reference { return &Reference{Reference: typ + "/" + id} }

// IdentifierValue returns the value of the identifier that system issued.
// It reports false when there is none, or when there are several that differ.
func IdentifierValue(list []Identifier, system string) (value string, ok bool) {
	for i := range list {
		if list[i].System != system || list[i].Value == "" || (ok && list[i].Value == value) {
			continue
		}
		if ok {
			return "", false
		}
		value, ok = list[i].Value, true
	}
	return value, ok
}

// HasIdentifier reports whether list holds exactly this identifier.
func HasIdentifier(list []Identifier, system, value string) bool {
	for i := range list {
		if list[i].System == system && list[i].Value == value {
			return true
		}
	}
	return false
}

// HasCode reports whether the concept is coded with this code of this system.
// A nil concept has none.
func HasCode(concept *CodeableConcept, system, code string) bool {
	if concept == nil {
		return false
	}
	for i := range concept.Coding {
		if concept.Coding[i].System == system && concept.Coding[i].Code == code {
			return true
		}
	}
	return false
}

// CodeIn returns the concept's code in a system. It reports false when there is
// none, or when there are several that differ.
func CodeIn(concept *CodeableConcept, system string) (code string, ok bool) {
	if concept == nil {
		return "", false
	}
	for i := range concept.Coding {
		c := &concept.Coding[i]
		if c.System != system || c.Code == "" || (ok && c.Code == code) {
			continue
		}
		if ok {
			return "", false
		}
		code, ok = c.Code, true
	}
	return code, ok
}

// UCUM is the system of unit codes.
const UCUM = "http://unitsofmeasure.org"

// UCUMQuantity returns a Quantity in a UCUM unit, which is also its text: UCUMQuantity("7.00", "10*9/L").
func UCUMQuantity(value Decimal, code string) *Quantity {
	return &Quantity{Value: value, Unit: code, System: UCUM, Code: code}
}

// UCUMValue returns the quantity's value and UCUM code. It reports false when
// one is missing or the unit is of another system: then Unit is for people only.
// A Comparator ("<") is not part of it.
func (x *Quantity) UCUMValue() (value Decimal, code string, ok bool) {
	if x == nil || x.System != UCUM || x.Code == "" || x.Value == "" {
		return "", "", false
	}
	return x.Value, x.Code, true
}
