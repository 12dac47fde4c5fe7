package main

// fault is what happens to the home replica.
type fault struct {
	name       string
	begin, end func(r *replica) error
}

func faults() []fault {
	return []fault{
		{"killed", func(r *replica) error { return r.gate.kill() }, func(r *replica) error { return r.gate.revive() }},
		{"blackhole", func(r *replica) error { return r.gate.blackHole() }, func(r *replica) error { return r.gate.open() }},
		handlerFault("slow", slow),
		handlerFault("cut", cut),
		handlerFault("drop", drop),
		handlerFault("errors", failing),
	}
}

// handlerFault is one that the server's handler makes; requests keep the mode they met.
func handlerFault(name string, m mode) fault {
	set := func(m mode) func(*replica) error {
		return func(r *replica) error {
			r.mode.Store(int32(m))
			return nil
		}
	}
	return fault{name: name, begin: set(m), end: set(well)}
}

// blackHoleMethod says how the black hole was made, for the report.
func blackHoleMethod() string {
	if backlogHangs() {
		return "Black hole: new dials hang on a full listen backlog, established connections swallow what is sent and are reset at the fault's end."
	}
	return "Black hole: NOT a full one here: new connections are accepted and silent (a full listen backlog does not make dials hang on this system), " +
		"established ones swallow what is sent; all are reset at the fault's end."
}
