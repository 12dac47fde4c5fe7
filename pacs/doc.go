// Package pacs calls the imaging systems (影像系统): the archive over DICOMweb (PS3.18),
// and the orders (检查申请), appointments (检查预约), reports (检查报告) and critical values beside it in
// FHIR, which a RIS holds (campus.RIS unless [WithRIS] says otherwise).
//
// # Images arrive complete or not at all
//
// [Client.Retrieve] asks the archive what there is, streams it in constant memory, and
// ends without an error only when every instance that was listed has come, each to its
// last byte. When a site is lost on the way another continues:
//
//	study ──part──part──par╳ dc-a lost
//	                    └─▶ the same instance from dc-b: the bytes read so far must be
//	                        its beginning ──▶ the rest of it, then what is missing, one
//	                        instance at a time ──▶ whole, or an error that names what is not
//
// A file is a stream of bytes: nothing is decoded, transcoded or written anew. What comes
// is compared with what was asked: an instance of another study is an error.
//
// [Client.Store] sends files while it reads them. It asks first what is there, believes
// of a success only what the archive names, and finds out after a broken connection what
// arrived, so that it may be repeated. The Number of an instance is its SOP Instance UID.
//
// # Whose images
//
// A patient ID (0010,0020) or an accession number (0008,0050) means nothing without its
// issuer: the same value of another issuer is another person, and is left out. Archives
// that name no issuer are told by campus.DICOMweb whose numbers they hold; without that
// such numbers are an error. Across campuses images are one and the same by Study Instance
// UID and nothing else.
//
// # Patients, how fresh, and for how long
//
// A search of the archive for a patient whom it does not know finds nothing. Of the RIS that
// is hospital.ErrNotFound, also of a list; several records of one number are
// hospital.ErrAmbiguousPatient; a record that was merged into another or is inactive, and a
// number that was withdrawn, are hospital.ErrRefused.
//
// Searches and metadata tolerate the lag of a copy that is declared readable
// (hospital.Any): what was stored within it may be missing. A retrieval that a copy listed
// ends with hospital.ErrStale.
//
// A write to the RIS has 15 s for everything, each request of a quick read (OrderOf,
// Appointment, CriticalOf) 5 s, each page of a list 20 s. Each request for images has an
// hour, with at most 10 s of silence once they come, and so has each portion of a store. ctx
// may end any of them sooner.
//
// # What the promises need of the archive
//
// Search and retrieval of studies and instances, with the transfer syntax * ("as
// stored"). campus.Contract.UpdateCreate says that an instance that is stored again is
// stored once, so that a lost store is continued at once; without it the call waits until
// the lost request has surely ended.
//
// The RIS is asked as package lis asks a laboratory: transactions with If-Match and
// If-None-Exist; searches of ServiceRequest by requisition, Appointment by identifier and
// slot, Task by identifier, owner and status, DiagnosticReport with _include of results.
package pacs
