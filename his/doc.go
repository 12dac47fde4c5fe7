// Package his calls the hospital information system (医院信息系统): patients,
// departments and doctors, schedules (排班), slots (号源), and the life of a booking
// (锁号, 预约, 改期, 取消, 签到).
//
// A patient is named by a campus.PatientID, never by a server's logical id. What
// a verb returns was checked against what was asked: a search answered with other
// patients, schedules or times than asked for is an error, not a result. What was booked
// under a record that was merged into the patient's (Patient.link) is his.
//
// # Writes
//
// Every write of this package may be repeated with the same Number, after a
// crash too, and happens once. A slot is protected by its version: of two people
// who want it one gets it, the other hospital.ErrConflict.
//
//	free ──Hold──▶ busy-tentative ──Book──▶ busy ──Cancel──▶ free
//	  │                 └──Release──▶ free    ├──Reschedule──▶ another slot
//	  └──────────────Book────────────────────▶┘ └─CheckIn: Appointment arrived, Encounter
//
// Each arrow is one FHIR transaction over the Slot, with its version as guard,
// and the Appointment, which carries the Number: both change or neither.
//
// # What the promises need of the server
//
// Transactions; If-Match honoured inside them (declare it as Contract.Versioning
// once proved: it lets a lost write be sent again at the other door); search of
// Appointment by identifier and slot, of Patient by identifier. Where versions are
// not declared, Hold and Book look afterwards and the later of two gives way;
// Reschedule and CheckIn do not, and may meet there.
package his
