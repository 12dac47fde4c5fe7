// Package r4 holds the data types of FHIR R4 (4.0.1) and their JSON form.
//
// The types are generated from the official StructureDefinitions and keep a
// document whole: decimals stay text, dates stay as precise as they were
// written, and what the types do not know travels along unharmed, so that a
// record read, changed and written back loses nothing another vendor put in it.
//
// # Shape
//
//   - String-like primitives (string, code, uri, date, dateTime, instant, ...)
//     are plain strings; "" means absent, because FHIR forbids empty strings.
//   - Booleans and integers are pointers; nil means absent. See [Ptr].
//   - [Decimal] is text, never float64.
//   - A choice element (value[x]) is one field per type: ValueQuantity,
//     ValueString. At most one may be set.
//   - Codes are strings with constants, never a closed list: a newer server may
//     send a code this package has not heard of.
//   - Members the types do not know, extensions of primitives ("_birthDate"),
//     and values with no typed form (an empty array) wait in Extra, verbatim.
//     null inside an array of strings decodes as "" and is written back as null.
//   - A resource of a type that is not generated decodes as [*Unknown].
//
// What people ask of these values is there as functions: [NameText], [IdentifierValue],
// [CodeIn], [ParseTime], [Quantity.UCUMValue].
//
// # Limits
//
// Decoding refuses what two readers could understand differently or what
// costs more than it can be worth: duplicate members, invalid UTF-8, nesting
// beyond [MaxDepth], more than [MaxValues] values. The refusal is a
// [*SyntaxError], which names a place and never quotes the document. How many
// bytes to accept is the caller's to bound before calling.
//
// Encoding is deterministic: resourceType first, members in the order of the
// specification, unknown ones last in the order they came. Nothing is escaped
// that JSON does not require.
//
// Values are plain data and not safe for concurrent modification; decoded
// values never share memory with their input.
package r4
