// Command soapadapter puts an old registration service, which speaks SOAP in
// GB18030 and answers AA, AE or AR, behind the verbs of package his. The verbs,
// routing, failover, retries and traces stay as they are; an adapter per endpoint
// (adapter.go) translates, and states what became of each request, because below
// an adapter nobody else can see that:
//
//	no connection                  NotSent: another door is asked at once
//	AR                             NotExecuted: the same
//	AE                             Rejected: a typed refusal
//	AA, with its records           Committed
//	no answer, half of one, a gateway's page, a SOAP fault
//	                               Unknown: never success, never "did not happen"
//
// It is a module of its own, for the sake of golang.org/x/text.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

const issuer = "urn:oid:2.16.156.10011.1.12.hankou"

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soapadapter:", err)
		os.Exit(1)
	}
}

// town is the service, its two doors and a client.
type town struct {
	books  *service
	stopA  func()
	client *hospital.Client
	desk   *his.Client
	slots  []hospital.Found[*r4.Slot]
	close  func()
}

func open(ctx context.Context) (*town, error) {
	t := &town{books: newService()}
	a, stopA, err := t.books.open()
	if err != nil {
		return nil, err
	}
	b, stopB, err := t.books.open()
	if err != nil {
		return nil, err
	}
	t.stopA = stopA
	// What the service is proved to honour: it books only what is free, whatever
	// anybody saw, and a number once. No request runs longer than 2 s.
	contract := campus.Contract{Versioning: true, ConditionalCreate: campus.Atomic, ServerTimeout: 2 * time.Second}
	cfg := hospital.Config{
		Topology: campus.Description{
			Organizations: []campus.Organization{{ID: "group"}},
			DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
			Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
			Systems:       []campus.System{{ID: campus.HIS}},
			Stores:        []campus.Store{{ID: "his"}},
			Endpoints: []campus.Endpoint{
				{System: campus.HIS, DataCenter: "dc-a", Store: "his", URL: a, Contract: contract},
				{System: campus.HIS, DataCenter: "dc-b", Store: "his", URL: b, Contract: contract},
			},
		},
		Adapters: map[campus.EndpointID]http.RoundTripper{"his/dc-a": newAdapter(a, issuer), "his/dc-b": newAdapter(b, issuer)},
	}
	if t.client, err = hospital.New(cfg); err != nil {
		return nil, err
	}
	t.close = func() { _ = t.client.Close(); stopA(); stopB() }
	t.desk = his.New(t.client)
	return t, t.look(ctx)
}

// look reads the free slots of the clinic.
func (t *town) look(ctx context.Context) error {
	schedule, resp, err := fhir.Read[*r4.Schedule](ctx, t.client.FHIR(campus.HIS), "K1")
	if err != nil {
		return err
	}
	found := hospital.Found[*r4.Schedule]{Resource: schedule, Origin: hospital.OriginOf(resp)}
	for s, err := range t.desk.FreeSlots(ctx, found, time.Now(), time.Now().AddDate(0, 0, 3)) {
		if err != nil {
			return err
		}
		t.slots = append(t.slots, s)
	}
	return nil
}

// run tells the story.
func run(ctx context.Context, out io.Writer) error {
	t, err := open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	patient := campus.PatientID{Issuer: issuer, Value: "ZY010101"}
	fmt.Fprintf(out, "%d free slots\n", len(t.slots))
	var numbers []string
	book := func(what string, id campus.PatientID, slot int) string {
		number := hospital.NewNumber()
		booked, err := t.desk.Book(ctx, his.BookRequest{Number: number, Patient: id, Slot: t.slots[slot]})
		switch {
		case err != nil:
			fmt.Fprintf(out, "%-28s %s\n", what, hospital.CodeOf(err))
		default:
			numbers = append(numbers, number)
			fmt.Fprintf(out, "%-28s booked by %s\n", what, booked.Origin.DataCenter)
		}
		return number
	}
	first := book("AA:", patient, 0)
	book("the same slot, AE:", patient, 0)
	book("a rule of the house, AE:", campus.PatientID{Issuer: issuer, Value: "ZY010102"}, 1)
	t.books.set(&t.books.busy)
	book("AR at the first door:", patient, 1)
	t.books.set(&t.books.gateway)
	book("a gateway's page:", patient, 2)
	t.books.set(&t.books.loseAnswer)
	book("the answer is lost:", patient, 3)
	t.stopA()
	book("the first door is gone:", patient, 4)
	if _, err := t.desk.Cancel(ctx, first, patient); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-28s cancelled\n", "the first booking:")
	most := 0
	for _, n := range numbers {
		most = max(most, t.books.count(n))
	}
	fmt.Fprintf(out, "the service's own books: %d bookings told, none made more than %d time\n", len(numbers), most)
	if most != 1 {
		return fmt.Errorf("something was done twice, or not at all")
	}
	return nil
}

func (s *service) set(what *bool) { s.mu.Lock(); defer s.mu.Unlock(); *what = true }

func (s *service) count(number string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.executed[number]
}
