// Package lis calls the laboratory information system (检验信息系统): orders (检验申请),
// specimens (标本), reports and results (检验报告, 检验结果), their course over time (趋势),
// microbiology (微生物), what other institutions recognise (互认), feeds of changes (变更流),
// and critical values (危急值).
//
// A patient is named by a campus.PatientID, never by a server's logical id. What a verb
// returns was checked against what was asked: a result of another patient, test or time
// is an error. A patient whom the system does not know is hospital.ErrNotFound, also of a
// list; across campuses one of them that does not know him has nothing to show. Several
// records of one number are hospital.ErrAmbiguousPatient. A record that was merged into
// another or is inactive, and a number that was withdrawn, are hospital.ErrRefused; what is
// filed under records that were merged into the patient's is shown with it.
//
// A write has 15 s for everything, each request of a quick read (OrderOf, Specimen,
// CriticalOf) 5 s, each page of all other reads 20 s; ctx may end any of them sooner.
//
// # Orders and specimens
//
//	Order ──▶ ordered ──Collect──▶ collected ──Receive──▶ received ──▶ preliminary, reported
//	            │  ▲                   │                      │          (the laboratory's)
//	            │  └──────Reject───────┴──────────────────────┘
//	            ├──CancelOrder──▶ cancelled      refused once collected or reported
//	            └──▶ refused (the laboratory's Task)
//
// An order is as many ServiceRequests as it has items, created in one transaction under
// one requisition number. A tube's barcode is the Number of its collection; Collect
// changes the items in the same transaction, so that it and CancelOrder cannot both
// succeed. Every write may be repeated with the same Number, after a crash too, and
// happens once.
//
// # Reports
//
// A report comes with all its results, their members and specimens, or not at all. Its
// status is stated, values are text as the laboratory wrote them, units are never
// converted. What was entered in error is not shown; what was shown before comes as
// withdrawn. A [Client] remembers what it has shown, the 20,000 to 40,000 reports and
// results that came last: an older version after a newer one is asked for again where
// writes go, and else is hospital.ErrStale.
//
// # Critical values
//
//	NotifyCritical ──▶ notified ──ReceiveCritical──▶ received ──SeeCritical──▶ seen ──HandleCritical──▶ handled
//
// The server keeps the deadline; OverdueCriticals and SweepCriticals show what has passed
// it. Their lists are complete or they are errors.
//
// # What the promises need of the server
//
// Transactions as large as an order (one real server takes eight entries that create
// conditionally, and refuses an order of nine items); If-Match honoured inside them
// (declare it as Contract.Versioning once proved); searches of ServiceRequest by
// requisition, Specimen by its barcode and by patient, Task by identifier, owner and
// status (and focus, or OrderStatus does without), DiagnosticReport with _include of
// results and specimens, and for feeds _lastUpdated with _sort. Where versions are not
// proved, CancelOrder and Collect may meet. Where If-None-Exist looks, then inserts, what
// two requests made of one Number at once is ended once.
package lis
