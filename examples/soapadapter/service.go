package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// service is the old registration system: one set of books behind two doors. It
// stands here so that the example runs; a real one is somebody else's.
type service struct {
	mu       sync.Mutex
	patients map[string]patientRow
	slots    []slotRow
	bookings map[string]bookingRow
	executed map[string]int // acts by booking number

	// What goes wrong next, once each.
	loseAnswer, busy, gateway bool
}

func newService() *service {
	s := &service{patients: map[string]patientRow{}, bookings: map[string]bookingRow{}, executed: map[string]int{}}
	s.patients["ZY010101"] = patientRow{"ZY010101", "张三丰", "1958-04-09"}
	s.patients["ZY010102"] = patientRow{"ZY010102", "欧阳娜娜", "2001-10-01"}
	start := time.Now().Truncate(time.Hour).Add(24 * time.Hour)
	for i := range 8 {
		at := start.Add(time.Duration(i) * 10 * time.Minute)
		s.slots = append(s.slots, slotRow{
			No: fmt.Sprintf("S%d", i+1), Schedule: "K1", Status: "free",
			Start: at.Format(time.RFC3339), End: at.Add(10 * time.Minute).Format(time.RFC3339),
		})
	}
	return s
}

// open is one of the doors; stop takes it away.
func (s *service) open() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String() + "/services/registration", func() { _ = server.Close() }, nil
}

// ServeHTTP answers one envelope.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxReply))
	var q question
	if err != nil || decode(data, &q) != nil {
		http.Error(w, "bad envelope", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.take(&s.gateway, q) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Bad Gateway</html>")
		return
	}
	out := reply{InReplyTo: q.MessageID, Ack: []string{"AR"}}
	if !s.take(&s.busy, q) {
		out = s.answer(q)
	}
	if s.take(&s.loseAnswer, q) {
		panic(http.ErrAbortHandler)
	}
	body, err := encode(out)
	if err != nil {
		http.Error(w, "no GB18030", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=GB18030")
	_, _ = w.Write(body)
}

// take is whether something is to go wrong with this question, which is then past.
func (s *service) take(what *bool, q question) bool {
	if !*what || q.Action != "Book" {
		return false
	}
	*what = false
	return true
}

func (s *service) answer(q question) reply {
	out := reply{InReplyTo: q.MessageID, Ack: []string{"AA"}}
	switch q.Action {
	case "FindPatient":
		if p, ok := s.patients[q.PatientNo]; ok {
			out.Patients = []patientRow{p}
		}
	case "FindSlot":
		out.Slots = slices.DeleteFunc(slices.Clone(s.slots), func(x slotRow) bool {
			return (q.SlotNo != "" && x.No != q.SlotNo) || (q.Schedule != "" && x.Schedule != q.Schedule)
		})
	case "FindBooking":
		for _, b := range s.bookings {
			if b.No == q.BookingNo || (q.BookingNo == "" && b.SlotNo == q.SlotNo) {
				out.Bookings = append(out.Bookings, b)
			}
		}
	case "Book", "Cancel":
		return s.act(q, out)
	default:
		out.Ack, out.Code = []string{"AE"}, "NOT_SUPPORTED"
	}
	return out
}

// act books or cancels, all of it or nothing.
func (s *service) act(q question, out reply) reply {
	i := slices.IndexFunc(s.slots, func(x slotRow) bool { return x.No == q.SlotNo })
	known, exists := s.bookings[q.BookingNo]
	refused := ""
	switch {
	case i < 0 || q.BookingNo == "":
		refused = "NO_SUCH"
	case q.Action == "Cancel" && (!exists || known.SlotNo != q.SlotNo || known.Status != "booked"):
		refused = "SLOT_TAKEN"
	case q.Action == "Cancel":
		known.Status = "cancelled"
		s.slots[i].Status, s.slots[i].BookingNo = "free", ""
	case exists:
		refused = "DUPLICATE"
	case s.slots[i].Status != "free":
		refused = "SLOT_TAKEN"
	case s.patients[q.PatientNo].No == "":
		refused = "NO_SUCH"
	case q.PatientNo == "ZY010102":
		refused = "BLACKLIST"
	default:
		known = bookingRow{No: q.BookingNo, PatientNo: q.PatientNo, SlotNo: q.SlotNo, Status: "booked"}
		s.slots[i].Status, s.slots[i].BookingNo = "busy", q.BookingNo
		s.executed[q.BookingNo]++
	}
	if refused != "" {
		out.Ack, out.Code = []string{"AE"}, refused
		return out
	}
	known.Changed = time.Now().Format(time.RFC3339Nano)
	s.bookings[q.BookingNo] = known
	out.Slots, out.Bookings = []slotRow{s.slots[i]}, []bookingRow{known}
	return out
}
