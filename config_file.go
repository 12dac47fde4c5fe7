package hospital

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/internal/strictyaml"
)

// configFile is hospital.yaml. Its comments become the reference in
// examples/hospital.yaml (go run ./internal/configref).
type configFile struct {
	// The hospital group: see package campus. It may be left out where source brings it.
	campus.Description
	// The campus of calls that name none; may be left out where there is only one.
	Campus campus.ID
	// Who we say we are, by system.
	Credentials map[campus.SystemID]*credentialFile
	// The same for single endpoints, by endpoint id, instead of their system's.
	EndpointCredentials map[campus.EndpointID]*credentialFile
	// Certificates and authorities, by endpoint id; without one the machine's authorities hold.
	TLS map[campus.EndpointID]*tlsFile
	// An HTTP proxy for every endpoint; none without it, whatever the environment says.
	Proxy *proxyFile
	// Calls in flight per endpoint; 0 means 512.
	MaxInFlight int
	// Bytes of an answer after decompression; 0 means 16 MiB.
	MaxBody int64
	// Put before the SDK's own User-Agent.
	UserAgent string
	// Where the description of the group comes from while the program runs.
	Source *sourceFile
	// A folder of ours alone, for the last good description.
	StateDir string
	// Systems whose calls must be audited: New refuses a Config without Audit, and a call without an Actor is refused.
	AuditRequired []campus.SystemID
}

// credentialFile is one of bearer, basic and oauth2.
type credentialFile struct {
	// A fixed token.
	Bearer *secretFile
	// A user and a password.
	Basic *basicFile
	// OAuth 2 client credentials, or SMART Backend Services.
	OAuth2 *oauth2File `yaml:"oauth2"`
}

type basicFile struct {
	// The user's name.
	User string
	// The password.
	Password *secretFile
}

type oauth2File struct {
	// The system whose endpoints' URLs are the token endpoints.
	System campus.SystemID
	// As registered at the token server.
	ClientID string
	// The client's secret; or key.
	Secret *secretFile
	// A PEM file with an RSA (RS384) or P-384 (ES384) private key, for assertions instead of a secret.
	Key string
	// The key's kid, as registered.
	KeyID string
	// The assertion's aud; the token endpoint's URL without it.
	Audience string
	// What to ask for.
	Scopes []string
}

// secretFile says where a secret is; never the secret itself.
type secretFile struct {
	// An environment variable, read at the start.
	Env string
	// A file, read again at each use, so that it may be replaced; a line end at its end is dropped.
	File string
}

type tlsFile struct {
	// A PEM file with the authorities to trust, instead of the machine's.
	CA string
	// A PEM file with our certificate, read again when it is renewed; with key.
	Certificate string
	// A PEM file with its private key.
	Key string
	// The name in the server's certificate; the URL's host without it.
	ServerName string
}

type proxyFile struct {
	// Such as http://10.1.2.3:3128.
	URL string
	// For a proxy that asks.
	User string
	// The user's password.
	Password *secretFile
}

type sourceFile struct {
	// A file to follow; this one, for example. Replaced, edited or linked anew, it is read again.
	File string
	// A URL to ask instead, with ETags.
	URL string
	// How often to look; 0 means 5s for a file, 30s for a URL.
	Every time.Duration
	// The token to ask the URL with.
	Bearer *secretFile
	// An Ed25519 public key (base64); what it did not sign is refused.
	PublicKey string
}

// ErrConfig is what the error of a configuration file is, for errors.Is.
var ErrConfig = errors.New("hospital: invalid configuration")

// ConfigFault is one mistake in a configuration file.
type ConfigFault struct {
	// Line and Column count from 1; 0 where they cannot be told.
	Line, Column int
	// Place is the path of keys, such as endpoints[3].store.
	Place string
	// Problem says what is wrong and what would be right. No secret stands in it.
	Problem string
}

// ConfigFaults is every mistake of one file, in the order of its lines. It is an [ErrConfig].
type ConfigFaults struct { //nolint:errname // a list of ConfigFault
	// File is its name as it was given.
	File   string
	Faults []ConfigFault
}

// Error lists the mistakes as FILE:LINE:COLUMN: PLACE: PROBLEM.
func (f *ConfigFaults) Error() string {
	lines := make([]string, len(f.Faults))
	for i, x := range f.Faults {
		at := f.File
		if x.Line > 0 {
			at += fmt.Sprintf(":%d", x.Line)
		}
		if x.Column > 0 {
			at += fmt.Sprintf(":%d", x.Column)
		}
		lines[i] = strings.TrimSuffix(at+": "+x.Place, ": ") + ": " + x.Problem
	}
	return strings.Join(lines, "\n")
}

// Is makes errors.Is(err, ErrConfig) hold.
func (f *ConfigFaults) Is(target error) bool { return target == ErrConfig }

// LoadConfig reads a Config from a YAML file: see examples/hospital.yaml for all
// there is. Every mistake is reported at once, with line, column and what would
// be right: the error is a [*ConfigFaults]; what New would refuse is refused here.
// Secrets stand in environment variables or files, never in the file itself;
// relative file names are relative to it. Adapters, dialers, observers and Audit
// are set in the Config that comes back. It reads files and nothing else.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return parseConfig(path, data)
}

func parseConfig(path string, data []byte) (Config, error) {
	var file configFile
	doc, problems := strictyaml.Decode(data, &file)
	r := &configReader{dir: filepath.Dir(path), faults: &ConfigFaults{File: path}, doc: doc}
	for _, p := range problems {
		r.faults.Faults = append(r.faults.Faults, ConfigFault(p))
	}
	cfg := r.read(&file)
	for _, f := range cfg.faults() {
		if !r.echo(f.Place, problems) {
			r.fault(f.Place, "%s", f.Problem)
		}
	}
	if len(r.faults.Faults) > 0 {
		slices.SortStableFunc(r.faults.Faults, func(a, b ConfigFault) int { return (a.Line-b.Line)*10_000 + a.Column - b.Column })
		return Config{}, r.faults
	}
	return cfg, nil
}

// configReader turns the file's values into the Config's and collects what is wrong.
type configReader struct {
	dir    string
	faults *ConfigFaults
	doc    *strictyaml.Document
}

func (r *configReader) fault(place, format string, args ...any) {
	f := ConfigFault{Place: place, Problem: fmt.Sprintf(format, args...)}
	f.Line, f.Column = r.doc.At(place)
	r.faults.Faults = append(r.faults.Faults, f)
}

// echo: what is missing because a key beside it could not be read is not reported
// twice.
func (r *configReader) echo(place string, problems []strictyaml.Fault) bool {
	for _, p := range problems {
		beside, _, nested := cutLast(p.Place)
		switch {
		case p.Place == "" || place == p.Place:
			return true
		case nested && strings.HasPrefix(place, beside):
			return true
		case !nested && !r.doc.Has(firstKey(place)):
			return true
		}
	}
	return false
}

// cutLast splits a place at its last key.
func cutLast(place string) (before, last string, ok bool) {
	i := strings.LastIndexByte(place, '.')
	if i < 0 {
		return "", place, false
	}
	return place[:i+1], place[i+1:], true
}

func firstKey(place string) string { return place[:strings.IndexAny(place+".", ".[")] }

func (r *configReader) read(f *configFile) Config {
	cfg := Config{
		Topology: f.Description, Campus: f.Campus, MaxInFlight: f.MaxInFlight, MaxBody: f.MaxBody, UserAgent: f.UserAgent,
		AuditRequired: f.AuditRequired,
		Credentials:   map[campus.SystemID]Credential{}, EndpointCredentials: map[campus.EndpointID]Credential{},
		TLS: map[campus.EndpointID]*tls.Config{},
	}
	for id, c := range f.Credentials {
		cfg.Credentials[id] = r.credential("credentials."+string(id), c)
	}
	for id, c := range f.EndpointCredentials {
		cfg.EndpointCredentials[id] = r.credential("endpointCredentials."+string(id), c)
	}
	for id, t := range f.TLS {
		cfg.TLS[id] = r.tls("tls."+string(id), t)
	}
	if f.Proxy != nil {
		cfg.Proxy = r.proxy(f.Proxy)
	}
	if f.Source != nil {
		cfg.Source, cfg.SourceEvery = r.source(f.Source)
	}
	if f.StateDir != "" {
		cfg.StateDir = r.path(f.StateDir)
		if info, err := os.Stat(cfg.StateDir); strings.HasPrefix(f.StateDir, "~") || (err == nil && !info.IsDir()) {
			r.fault("stateDir", "must be a folder, by its whole name; ~ is not read")
		}
	}
	return cfg
}

func (r *configReader) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, name)
}

func (r *configReader) credential(place string, c *credentialFile) Credential {
	before := len(r.faults.Faults)
	credential := r.anyCredential(place, c)
	if len(r.faults.Faults) > before {
		return nil // what is wrong with it has been said
	}
	return credential
}

func (r *configReader) anyCredential(place string, c *credentialFile) Credential {
	if c == nil {
		c = &credentialFile{}
	}
	given := 0
	for _, is := range []bool{c.Bearer != nil, c.Basic != nil, c.OAuth2 != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		r.fault(place, "must have exactly one of bearer, basic and oauth2")
		return nil
	case c.Bearer != nil:
		secret := r.secret(place+".bearer", c.Bearer)
		return Bearer(func(context.Context) (string, error) { return secret() })
	case c.Basic != nil:
		return r.basic(place+".basic", c.Basic)
	}
	return r.oauth2(place+".oauth2", c.OAuth2)
}

func (r *configReader) basic(place string, b *basicFile) Credential {
	if b.User == "" || strings.Contains(b.User, ":") {
		r.fault(place+".user", "must be a name without a colon")
	}
	password := r.secret(place+".password", b.Password)
	return CredentialFunc(func(ctx context.Context, e *campus.Endpoint, req *http.Request) error {
		p, err := password()
		if err != nil {
			return Refuse(ErrNoToken, "the password cannot be read")
		}
		return Basic(b.User, p).Authorize(ctx, e, req)
	})
}

func (r *configReader) oauth2(place string, o *oauth2File) Credential {
	if slices.ContainsFunc(o.Scopes, func(s string) bool { return s == "" || strings.ContainsAny(s, " \t\"\\") }) {
		r.fault(place+".scopes", "must be words, one per item")
	}
	out := OAuth2{System: o.System, ClientID: o.ClientID, KeyID: o.KeyID, Audience: o.Audience, Scopes: o.Scopes}
	if o.Secret != nil {
		out.Secret = r.secret(place+".secret", o.Secret)
	}
	if o.Key != "" {
		out.Key = r.key(place+".key", r.path(o.Key))
	}
	return out
}

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

func (r *configReader) source(s *sourceFile) (Source, time.Duration) {
	if s.Every != 0 && s.Every < time.Second {
		r.fault("source.every", "must be at least 1s; 0 means 5s for a file, 30s for a URL")
	}
	if (s.File == "") == (s.URL == "") {
		r.fault("source", "must have either file or url")
		return nil, 0
	}
	if s.File != "" {
		if s.Bearer != nil || s.PublicKey != "" {
			r.fault("source", "has bearer or publicKey beside file; they are for url")
		}
		return &FileSource{Path: r.path(s.File)}, s.Every
	}
	out := &HTTPSource{URL: s.URL}
	if _, err := out.request(context.Background()); err != nil {
		r.fault("source.url", "must be https, or http on this machine, without user, password or query; use bearer")
	}
	if s.Bearer != nil {
		token := r.secret("source.bearer", s.Bearer)
		out.Authorize = func(req *http.Request) error {
			value, err := token()
			req.Header.Set("Authorization", "Bearer "+value)
			return err
		}
	}
	if s.PublicKey != "" {
		key, err := base64.StdEncoding.DecodeString(s.PublicKey)
		if err != nil || len(key) != ed25519.PublicKeySize {
			r.fault("source.publicKey", "must be an Ed25519 public key, 32 bytes in base64")
		}
		out.PublicKey = key
	}
	return out, s.Every
}
