package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/hospital-go/hospital/failover"
)

// The wire of the registration service: SOAP 1.1 in GB18030, and answers that say
// AA (done), AE (refused by its rules) or AR (not processed: try later).

const soapNamespace = "http://schemas.xmlsoap.org/soap/envelope/"

type envelope struct {
	XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
	Body    struct {
		Fault *struct{}
		Inner []byte `xml:",innerxml"`
	} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
}

// question is what is asked; fields that a kind of question does not use are left out.
type question struct {
	XMLName   xml.Name `xml:"Request"`
	Action    string
	MessageID string
	PatientNo string `xml:",omitempty"`
	SlotNo    string `xml:",omitempty"`
	Schedule  string `xml:",omitempty"`
	BookingNo string `xml:",omitempty"`
}

// reply is what comes back.
type reply struct {
	XMLName   xml.Name `xml:"Response"`
	InReplyTo string
	Ack       []string
	Code      string `xml:",omitempty"`
	Patients  []patientRow
	Slots     []slotRow
	Bookings  []bookingRow
}

type patientRow struct {
	No, Name, Birth string
}

type slotRow struct {
	No, Schedule, Start, End, Status, BookingNo string
}

type bookingRow struct {
	No, PatientNo, SlotNo, Status, Changed string
}

// encode writes an envelope in GB18030.
func encode(inner any) ([]byte, error) {
	body, err := xml.Marshal(inner)
	if err != nil {
		return nil, err
	}
	text := `<?xml version="1.0" encoding="GB18030"?><soap:Envelope xmlns:soap="` + soapNamespace + `"><soap:Body>` + string(body) + `</soap:Body></soap:Envelope>`
	out, err := simplifiedchinese.GB18030.NewEncoder().String(text)
	return []byte(out), err
}

var errNotSOAP = errors.New("not an answer of the service")

// decode reads an envelope, in whatever of its two encodings it says it is.
func decode(data []byte, into any) error {
	var e envelope
	if err := newDecoder(data).Decode(&e); err != nil {
		return errNotSOAP
	}
	if bytes.ContainsRune(e.Body.Inner, utf8.RuneError) {
		return errNotSOAP // bytes that are no GB18030: a name would come out as another
	}
	if e.Body.Fault != nil || len(e.Body.Inner) == 0 {
		return errNotSOAP
	}
	d := xml.NewDecoder(bytes.NewReader(e.Body.Inner))
	if err := d.Decode(into); err != nil {
		return errNotSOAP
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errNotSOAP // a second answer behind the first
	}
	return nil
}

func newDecoder(data []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "gb18030", "gbk", "gb2312":
			return simplifiedchinese.GB18030.NewDecoder().Reader(in), nil
		case "utf-8":
			return in, nil
		}
		return nil, fmt.Errorf("unknown charset")
	}
	return d
}

// stated is an error that says what became of the request: the failover engine
// asks for its Outcome, because it sees nothing of the adapter's connection.
type stated struct {
	outcome failover.Outcome
	why     string
}

// Error names no patient.
func (e *stated) Error() string { return "registration service: " + e.why }

// Outcome is what the engine asks for.
func (e *stated) Outcome() failover.Outcome { return e.outcome }

// refusal is AE: the service understood, did nothing, and says why.
type refusal struct{ code string }

// Error names the service's code.
func (e *refusal) Error() string { return "registration service: refused " + e.code }

const maxReply = 1 << 20

// ask sends one question and returns the reply to it. Everything it cannot be sure
// of is Unknown.
func (a *adapter) ask(ctx context.Context, q question) (*reply, error) {
	body, err := encode(q)
	if err != nil {
		return nil, &stated{failover.NotSent, "the request has no form in GB18030"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return nil, &stated{failover.NotSent, "no request"}
	}
	req.Header.Set("Content-Type", "text/xml; charset=GB18030")
	req.Header.Set("SOAPAction", `"`+q.Action+`"`)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, &stated{outcomeOf(err), "no answer"}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil || len(data) > maxReply {
		return nil, &stated{failover.Unknown, "its answer ended early, or does not end"}
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var r reply
	if resp.StatusCode != http.StatusOK || media != "text/xml" || decode(data, &r) != nil || r.InReplyTo != q.MessageID {
		return nil, &stated{failover.Unknown, "something else answered"} // a gateway, a fault half-way, another's reply
	}
	if len(r.Ack) == 1 {
		switch r.Ack[0] {
		case "AA":
			return &r, nil
		case "AE":
			return nil, &refusal{r.Code}
		case "AR":
			return nil, &stated{failover.NotExecuted, "not processed"}
		}
	}
	return nil, &stated{failover.Unknown, "no acknowledgement, or two"}
}

// outcomeOf: where no connection could be made nothing was sent; else it may have been.
func outcomeOf(err error) failover.Outcome {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return failover.NotSent
	}
	return failover.Unknown
}
