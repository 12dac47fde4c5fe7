package report

// Isolate (分离菌) is an organism that was found and what it is susceptible to.
type Isolate struct {
	// Organism is the result that names it, such as a code of SNOMED CT in Value().Codes.
	Organism Result
	// Susceptibilities (药敏) as the laboratory grouped them: single results, or panels
	// whose Members they are. Interpretation (S, I, R) and MIC stand in each Observation.
	Susceptibilities []Result
}

// Isolates returns the organisms of a culture's report for which susceptibilities were
// given: the lowest results with a coded value and members, at any depth. An organism
// without susceptibilities is in Results only.
func (r *Report) Isolates() []Isolate { return isolates(r.Results) }

func isolates(list []Result) []Isolate {
	var out []Isolate
	for _, r := range list {
		below := isolates(r.Members)
		if len(below) == 0 && len(r.Members) > 0 && len(r.Value().Codes) > 0 {
			below = []Isolate{{Organism: r, Susceptibilities: r.Members}}
		}
		out = append(out, below...)
	}
	return out
}
