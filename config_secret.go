package hospital

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// secret returns what reads it. What cannot be read now is a fault now.
func (r *configReader) secret(place string, s *secretFile) func() (string, error) {
	switch {
	case r.faulted(place):
		return func() (string, error) { return "", errSecret }
	case s == nil || (s.Env == "") == (s.File == ""):
		r.fault(place, "must say where the secret is, by env: VARIABLE or file: NAME; a secret never stands in this file")
		return func() (string, error) { return "", errSecret }
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		switch {
		case !ok && !variable.MatchString(s.Env): // which may be the secret itself
			r.fault(place+".env", "must be the name of an environment variable, in capital letters, digits and _")
		case !ok || value == "":
			r.fault(place+".env", "the environment variable %s is not set", s.Env)
		}
		return func() (string, error) { return value, nil }
	}
	name := r.path(s.File)
	read := func() (string, error) { return readSecret(name) }
	if _, err := read(); err != nil {
		r.fault(place+".file", "%s", err)
	}
	return read
}

var variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// faulted: has something been said of this place, or of what is in it?
func (r *configReader) faulted(place string) bool {
	return slices.ContainsFunc(r.faults.Faults, func(f ConfigFault) bool { return f.Place == place || strings.HasPrefix(f.Place, place+".") })
}

// Quiet keeps what stands in a secret's place out of messages.
func (secretFile) Quiet() {}

var errSecret = errors.New("the secret cannot be read")

// maxSecret bounds the bytes of a secret's or certificate's file.
const maxSecret = 1 << 20

func readSecret(name string) (string, error) {
	data, err := readSmall(name)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	switch {
	case secret == "":
		return "", errors.New("the file is empty")
	case strings.ContainsAny(secret, "\r\n"):
		return "", errors.New("the file holds several lines; a secret is one")
	}
	return secret, nil
}

// readSmall reads a file; its error names what is wrong, and the file by its base only.
func readSmall(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is no such file")
	case errors.Is(err, os.ErrPermission):
		return nil, errors.New("this user may not read the file")
	case err != nil || info.IsDir() || info.Size() > maxSecret:
		return nil, errors.New("is no file of at most 1 MiB")
	}
	data, err := os.ReadFile(name) //nolint:gosec // a file the configuration names
	if err != nil {
		return nil, errors.New("the file cannot be read by this user")
	}
	return data, nil
}

func (r *configReader) key(place, name string) crypto.Signer {
	data, err := readSmall(name)
	if err != nil {
		r.fault(place, "%s", err)
		return nil
	}
	block, _ := pem.Decode(data)
	if block == nil {
		r.fault(place, "the file holds no PEM block")
		return nil
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
		func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
	} {
		if key, err := parse(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer
			}
		}
	}
	r.fault(place, "the file holds no RSA or ECDSA private key without a passphrase")
	return nil
}

func (r *configReader) tls(place string, t *tlsFile) *tls.Config {
	if t == nil {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if strings.ContainsAny(t.ServerName, "/: ") {
		r.fault(place+".serverName", "must be a host's name alone, as the certificate has it")
	}
	if t.CA != "" {
		data, err := readSmall(r.path(t.CA))
		if err == nil {
			if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(data) {
				err = errors.New("the file holds no certificate in PEM")
			}
		}
		if err != nil {
			r.fault(place+".ca", "%s", err)
		}
	}
	if (t.Certificate == "") != (t.Key == "") {
		r.fault(place, "must have certificate and key together")
	} else if t.Certificate != "" {
		pair := &keyPair{certificate: r.path(t.Certificate), key: r.path(t.Key)}
		if _, err := pair.load(); err != nil {
			r.fault(place+".certificate", "certificate and key cannot be read as a pair in PEM: %s", err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.load() }
	}
	return config
}

// keyPair is our certificate, read again when its file has changed.
type keyPair struct {
	certificate, key string

	mu      sync.Mutex
	at      time.Time
	current *tls.Certificate
}

func (p *keyPair) load() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := os.Stat(p.certificate)
	if err == nil && p.current != nil && info.ModTime().Equal(p.at) {
		return p.current, nil
	}
	if err != nil {
		return p.current, p.unless(errors.New("there is no such file"))
	}
	pair, err := tls.LoadX509KeyPair(p.certificate, p.key)
	if err != nil {
		return p.current, p.unless(errors.New("they are no pair, or one is no PEM"))
	}
	p.current, p.at = &pair, info.ModTime()
	return p.current, nil
}

// unless there is one that still serves, while its files are being replaced.
func (p *keyPair) unless(err error) error {
	if p.current != nil {
		return nil
	}
	return err
}

func (r *configReader) proxy(p *proxyFile) *url.URL {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		r.fault("proxy.url", "must be an http URL with a host, without user or password (those are keys of their own), path or query")
		return nil
	}
	if p.User != "" || p.Password != nil {
		password, err := r.secret("proxy.password", p.Password)()
		if err == nil {
			u.User = url.UserPassword(p.User, password)
		}
	}
	return u
}
