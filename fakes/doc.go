// Package fakes is a hospital in the process, for tests and demonstrations: FHIR
// servers for every system, data centre and environment, and DICOMweb servers for the
// PACS, over a network in memory or loopback sockets, that speak the real wire and
// break on command.
//
//	hosp := fakes.NewHospital(t)
//	client, err := hospital.New(hosp.Config())
//	hosp.Stop("dc-a")                                    // its servers are gone
//	hosp.Break(fakes.Rule{                               // or: one answer is lost
//		When: fakes.When{DataCenter: "dc-a", Interaction: "transaction"},
//		Do:   fakes.Action{ResetAfter: true}, Times: 1,
//	})
//	...
//	hosp.Ledger().Executions(number)                     // what really happened
//
// The data centres dc-a and dc-b are two doors to one Store; the standby dr has a
// Store of its own that follows with a delay. Logical ids differ between Stores:
// Patient/1001 is another person in each. Links are absolute, under a name
// the servers share, and page cursors live in one server only.
//
// A [Personality] says what kind of server it is; by default the weakest that
// still counts as one: If-None-Exist looks, then inserts, and two requests in
// flight can both create.
//
// [WithOwnStores] gives each campus a store of its own for a system, so that one
// patient's record is in several. The PACS (PS3.18: QIDO-RS, WADO-RS, STOW-RS) sends what
// it was sent, byte by byte: it transcodes nothing. [Hospital.AddStudy] makes up studies
// of any size, of which the pixels are made while they are read; [Hospital.AddInstances]
// takes files, and [Ledger.Receipts] tells what STOW-RS brought.
//
// Beyond single faults, networks break ([Hospital.Partition], [Hospital.Isolate],
// [Hospital.Hang]), stores move ([Hospital.Promote], [Hospital.Restore],
// [Hospital.SetWriter]) and servers are certified, limited and taken out of their
// balancers. What changes the group is in [Hospital.Description].
//
// What it does not do, it refuses loudly: unknown search parameters are 400,
// unknown operations 501, unknown resources of DICOMweb 404. It validates no profiles
// and no codes, and reads text in UTF-8 and Latin-1 only: of files in GB18030 the
// characters beyond ASCII are lost to searches and metadata, not to the files. Everything in it
// is safe for concurrent use and works inside a testing/synctest bubble when it
// was made there without [WithLoopback].
package fakes
