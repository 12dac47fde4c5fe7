package report

import (
	"cmp"
	"strconv"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
)

// Result (检验结果) is one Observation as the laboratory wrote it.
type Result struct {
	// Observation is the whole of it. When Withdrawn is set only what names it is there.
	Observation *r4.Observation
	// Members are the results that belong to it (hasMember): of a panel its tests, of a
	// culture the organisms, of an organism its susceptibilities. A list of single
	// results has none.
	Members []Result
	// Withdrawn says that the result was entered in error: its value is not shown, and
	// whatever was shown of it before must not be used.
	Withdrawn bool
	// Recognised says that the result carries the mark of mutual recognition; see [Marks].
	Recognised bool

	origin hospital.Origin
}

// Value is a result, a component's or a bound of a reference range, exactly as it was
// written: nothing is rounded or converted.
type Value struct {
	// Text is the value for people: "7.00 mmol/L", "<0.05 ng/mL", "1:128", "阳性". It is
	// "" where there is none.
	Text string
	// Number is the value of a quantity as text, with the digits it came with; "" for
	// any other kind of value.
	Number r4.Decimal
	// Comparator is <, <=, > or >= where Number is only a bound, else "".
	Comparator string
	// Unit is the unit as people write it.
	Unit string
	// UCUM is the unit's code, "" where the unit is coded otherwise or not at all.
	UCUM string
	// Codes of a coded value, such as an organism or positive and negative.
	Codes []r4.Coding
	// Absent is why there is no value (dataAbsentReason), nil where none was given.
	Absent *r4.CodeableConcept
}

// ErrUnit refuses a value in another unit than it has.
var ErrUnit = hospital.Refuse(hospital.ErrRefused, "the value is in another unit, or is no quantity; values are never converted")

// In returns nil when Number is in the unit of this UCUM code, as it is spelt, and
// [ErrUnit] otherwise: nothing is converted, also not mmol/L to mg/dL.
func (v Value) In(ucum string) error {
	if v.Number == "" || ucum == "" || v.UCUM != ucum {
		return ErrUnit
	}
	return nil
}

// Value returns the result's value.
func (r Result) Value() Value {
	o := r.Observation
	return choice{
		o.ValueQuantity, o.ValueCodeableConcept, o.ValueString, o.ValueBoolean, o.ValueInteger, o.ValueRange, o.ValueRatio,
		o.ValueSampledData, o.ValueTime, o.ValueDateTime, o.ValuePeriod, o.DataAbsentReason,
	}.value()
}

// Component is a part of a result that has no meaning alone.
type Component struct {
	// Component is the whole of it: code, reference ranges, interpretation.
	Component *r4.ObservationComponent
	// Value is its value.
	Value Value
}

// Components returns the result's components.
func (r Result) Components() []Component {
	var out []Component
	for i := range r.Observation.Component {
		c := &r.Observation.Component[i]
		out = append(out, Component{c, choice{
			c.ValueQuantity, c.ValueCodeableConcept, c.ValueString, c.ValueBoolean, c.ValueInteger, c.ValueRange, c.ValueRatio,
			c.ValueSampledData, c.ValueTime, c.ValueDateTime, c.ValuePeriod, c.DataAbsentReason,
		}.value()})
	}
	return out
}

// Range is a reference range (参考范围). Which people it applies to is in Whole.
type Range struct {
	// Low and High are the bounds; Text "" where there is none.
	Low, High Value
	// Text is the range in words, where the laboratory gave it so.
	Text string
	// Whole is all of it.
	Whole *r4.ObservationReferenceRange
}

// Ranges returns the result's reference ranges.
func (r Result) Ranges() []Range {
	var out []Range
	for i := range r.Observation.ReferenceRange {
		x := &r.Observation.ReferenceRange[i]
		out = append(out, Range{Low: choice{quantity: x.Low}.value(), High: choice{quantity: x.High}.value(), Text: x.Text, Whole: x})
	}
	return out
}

// choice is a value[x] with the reason for its absence.
type choice struct {
	quantity       *r4.Quantity
	concept        *r4.CodeableConcept
	text           string
	boolean        *bool
	integer        *int
	span           *r4.Range
	ratio          *r4.Ratio
	sampled        *r4.SampledData
	time, dateTime string
	period         *r4.Period
	absent         *r4.CodeableConcept
}

func (c choice) value() Value {
	v := Value{Absent: c.absent}
	switch {
	case c.quantity != nil:
		q := c.quantity
		v.Number, v.Comparator, v.Unit, v.Text = q.Value, q.Comparator, cmp.Or(q.Unit, q.Code), quantityText(q)
		if q.System == r4.UCUM {
			v.UCUM = q.Code
		}
	case c.concept != nil:
		v.Codes, v.Text = c.concept.Coding, conceptText(c.concept)
	case c.boolean != nil:
		v.Text = strconv.FormatBool(*c.boolean)
	case c.integer != nil:
		v.Text = strconv.Itoa(*c.integer)
	case c.span != nil:
		v.Text = quantityText(c.span.Low) + " - " + quantityText(c.span.High)
	case c.ratio != nil:
		v.Text = quantityText(c.ratio.Numerator) + ":" + quantityText(c.ratio.Denominator)
	case c.sampled != nil:
		v.Text = c.sampled.Data
	case c.period != nil:
		v.Text = c.period.Start + " - " + c.period.End
	default:
		v.Text = cmp.Or(c.text, c.dateTime, c.time)
	}
	return v
}

// quantityText is a quantity as it was written, "" for none.
func quantityText(q *r4.Quantity) string {
	if q == nil || q.Value == "" {
		return ""
	}
	text := q.Comparator + string(q.Value)
	if unit := cmp.Or(q.Unit, q.Code); unit != "" && unit != "1" {
		text += " " + unit
	}
	return text
}

// conceptText is a concept for people.
func conceptText(c *r4.CodeableConcept) string {
	text := c.Text
	for _, k := range c.Coding {
		text = cmp.Or(text, k.Display)
	}
	for _, k := range c.Coding {
		text = cmp.Or(text, k.Code)
	}
	return text
}

// result makes an Observation a Result, without its members.
func (d *Desk) result(o *r4.Observation, origin hospital.Origin) Result {
	r := Result{Observation: o, Withdrawn: errorObservation(o), Recognised: d.config.Marks.on(o.Meta, o.Extension, o.Category), origin: origin}
	if r.Withdrawn {
		r.Observation = withdrawnObservation(o)
	}
	return r
}
