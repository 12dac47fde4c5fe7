package hospital

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
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
	// The constants of failover; what is left out has its default, a negative time means none.
	Failover failover.Rules
	// Ask no second site while the first is late.
	DisableHedging bool
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

// Document is the hospital.yaml that describes d, as a [Source] brings it.
func Document(d campus.Description) ([]byte, error) { return strictyaml.Encode(d) }

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
		beside := p.Place[:strings.LastIndexByte(p.Place, '.')+1]
		switch {
		case p.Place == "" || place == p.Place:
			return true
		case beside != "" && strings.HasPrefix(place, beside):
			return true
		case beside == "" && !r.doc.Has(firstKey(place)):
			return true
		}
	}
	return false
}

func firstKey(place string) string { return place[:strings.IndexAny(place+".", ".[")] }

func (r *configReader) read(f *configFile) Config {
	cfg := Config{
		Topology: f.Description, Campus: f.Campus, MaxInFlight: f.MaxInFlight, MaxBody: f.MaxBody, UserAgent: f.UserAgent,
		Failover: f.Failover, DisableHedging: f.DisableHedging,
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
