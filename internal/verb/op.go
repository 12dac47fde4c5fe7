package verb

import (
	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
)

// Ops declares the operations of one typed client at one system.
type Ops struct {
	System campus.SystemID
	// Prefix of their names: "his" makes "his.Book".
	Prefix string
}

// Read declares a reading operation.
func (o Ops) Read(name string, consistency hospital.Consistency, class hospital.Class) hospital.Op {
	return hospital.Op{Name: o.Prefix + "." + name, System: o.System, Consistency: consistency, Class: class}
}

// Write declares a write that may be repeated as repeat says.
func (o Ops) Write(name string, repeat hospital.Repeat) hospital.Op {
	return hospital.Op{
		Name: o.Prefix + "." + name, System: o.System, Consistency: hospital.Strong,
		Repeat: repeat, Class: hospital.WriteClass,
	}
}

// Guarded declares a write whose guard is a version.
func (o Ops) Guarded(name string) hospital.Op { return o.Write(name, hospital.Guarded) }
