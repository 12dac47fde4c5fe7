package fakes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// WithTLS makes servers speak TLS, with certificates of an authority of their own.
func WithTLS() Option { return func(h *Hospital) { h.authority = &authority{} } }

// WithHTTP2 is [WithTLS] with servers that speak HTTP/2 and nothing else.
func WithHTTP2() Option {
	return func(h *Hospital) { h.authority, h.http2 = &authority{}, true }
}

// validity of what is not certified by hand, both ways from now: tests move clocks.
const validity = 10 * 365 * 24 * time.Hour

// authority signs the servers' certificates.
type authority struct {
	key   *ecdsa.PrivateKey
	root  *x509.Certificate
	roots *x509.CertPool

	mu     sync.Mutex
	serial int64
	issued map[campus.DataCenterID]*tls.Certificate
}

// found makes the authority, valid about now, which in a bubble is another time.
func (a *authority) found() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	a.key, a.issued, a.serial = key, map[campus.DataCenterID]*tls.Certificate{}, 1
	root := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: "fake hospital group"},
		NotBefore: now.Add(-2 * validity), NotAfter: now.Add(2 * validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return err
	}
	a.root, err = x509.ParseCertificate(der)
	a.roots = x509.NewCertPool()
	a.roots.AddCert(a.root)
	return err
}

// issue certifies a data centre's servers under these names.
func (a *authority) issue(dc campus.DataCenterID, hosts []string, notBefore, notAfter time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: string(dc)},
		NotBefore: notBefore, NotAfter: notAfter, DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.root, a.key.Public(), a.key)
	if err != nil {
		return err
	}
	a.issued[dc] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	return nil
}

func (a *authority) of(dc campus.DataCenterID) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.issued[dc] == nil {
		return nil, errors.New("fakes: no certificate")
	}
	return a.issued[dc], nil
}

// certifyAll begins with certificates that are good.
func (h *Hospital) certifyAll() error {
	if h.authority == nil {
		return nil
	}
	err := h.authority.found()
	for i := range h.description.DataCenters {
		if dc := h.description.DataCenters[i].ID; err == nil {
			err = h.authority.issue(dc, h.hosts(dc), time.Now().Add(-validity), time.Now().Add(validity))
		}
	}
	return err
}

// hosts are a data centre's names in memory.
func (h *Hospital) hosts(dc campus.DataCenterID) []string {
	var out []string
	for i := range h.description.Endpoints {
		if e := &h.description.Endpoints[i]; e.DataCenter == dc {
			out = append(out, hostOf(e))
		}
	}
	return slices.Compact(out)
}

// Certify gives a data centre's servers certificates of this validity for
// handshakes from now on, and resets their connections. It panics without [WithTLS].
func (h *Hospital) Certify(dc campus.DataCenterID, notBefore, notAfter time.Time) {
	if h.authority == nil {
		panic("fakes: Certify needs WithTLS")
	}
	if err := h.authority.issue(dc, h.hosts(dc), notBefore, notAfter); err != nil {
		panic(err) // the key and the names are ours
	}
	for _, s := range h.chosen(failover.Selector{DataCenter: dc}) {
		s.resetAll()
	}
}

// secure makes a server speak TLS, where the hospital does.
func (h *Hospital) secure(srv *http.Server, e *campus.Endpoint) {
	if h.authority == nil {
		return
	}
	srv.TLSConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true, // each handshake shows the certificate of its time
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return h.authority.of(e.DataCenter) },
	}
	srv.Protocols = &http.Protocols{}
	srv.Protocols.SetHTTP1(!h.http2)
	srv.Protocols.SetHTTP2(h.http2)
	srv.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // handshakes that fail are what tests want
}

// trust is what a client needs to know the servers.
func (h *Hospital) trust(d *campus.Description) map[campus.EndpointID]*tls.Config {
	if h.authority == nil {
		return nil
	}
	out := map[campus.EndpointID]*tls.Config{}
	for i := range d.Endpoints {
		out[d.Endpoints[i].Name()] = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: h.authority.roots}
	}
	return out
}

func (h *Hospital) scheme() string {
	if h.authority == nil {
		return "http"
	}
	return "https"
}

// port is where servers listen in memory.
func (h *Hospital) port() string {
	if h.authority == nil {
		return "80"
	}
	return "443"
}
