package hospital_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
)

// sound is a hospital.yaml that is right; the mistakes are made in it.
const sound = `version: 3
campus: hankou
organizations:
  - {id: group, name: 集团总医院}
campuses:
  - id: hankou
    name: 汉口主院区
    organization: group
    home: dc-a
datacenters:
  - {id: dc-a, role: active}
  - {id: dc-b, role: active}
systems:
  - id: his
  - id: sso
stores:
  - id: his
    epoch: 1
  - id: sso
endpoints:
  - system: his
    datacenter: dc-a
    store: his
    url: https://his-a.group.test/fhir
    aliases: [https://his.group.test/fhir]
    contract:
      versioning: true
      conditionalCreate: racy
      serverTimeout: 20s
      notExecuted: [503]
  - {system: his, datacenter: dc-b, store: his, url: "https://his-b.group.test/fhir"}
  - {system: sso, datacenter: dc-a, store: sso, url: "https://sso.group.test/token"}
credentials:
  his:
    oauth2:
      system: sso
      clientID: kiosk
      secret: {file: secret.txt}
      scopes: ["system/*.read"]
maxInFlight: 64
`

// folder is where a hospital.yaml finds its secrets.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("secret.txt", "s3cret-MARK\n")
	write("empty.txt", "\n")
	cert, _, key := identity(t, "kiosk", nil, nil)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write("p256.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	der, err = x509.MarshalECPrivateKey(p384)
	require.NoError(t, err)
	write("p384.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	return dir
}

func load(t *testing.T, dir, text string) (hospital.Config, error) {
	t.Helper()
	path := filepath.Join(dir, "hospital.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return hospital.LoadConfig(path)
}

func TestLoadConfig(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, folder(t), sound)
	require.NoError(t, err)
	assert.Equal(t, campus.ID("hankou"), cfg.Campus)
	assert.Equal(t, 64, cfg.MaxInFlight)
	e := cfg.Topology.Endpoints[0]
	assert.Equal(t, campus.Contract{Versioning: true, ConditionalCreate: campus.Racy, ServerTimeout: 20 * time.Second, NotExecuted: []int{503}}, e.Contract)
	o, ok := cfg.Credentials[campus.HIS].(hospital.OAuth2)
	require.True(t, ok)
	secret, err := o.Secret()
	require.NoError(t, err)
	assert.Equal(t, "s3cret-MARK", secret, "without the line end")
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	require.NoError(t, client.Close())
}

// A page of a stranger's mistakes: each message says where, what and what would be right.
func TestMistakesInHospitalYAML(t *testing.T) { //nolint:paralleltest // it sets an environment variable
	t.Setenv("HOSPITAL_TEST_TOKEN", "from-env-MARK")
	edit := func(old, replacement string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, replacement, 1) }
	}
	add := func(more string) func(string) string { return func(s string) string { return s + more } }
	for name, c := range map[string]struct {
		change func(string) string
		want   string // LINE:COLUMN: PLACE: PROBLEM
	}{
		"an unknown key":               {edit("maxInFlight", "maxInflights"), ":40:1: maxInflights: is no key here; did you mean maxInFlight?"},
		"a key in another case":        {edit("clientID", "clientId"), ":37:7: credentials.his.oauth2.clientId: is no key here; did you mean clientID?"},
		"a British centre":             {edit("    datacenter: dc-a", "    datacentre: dc-a"), ":22:5: endpoints[0].datacentre: is no key here; did you mean datacenter?"},
		"a key of nowhere":             {add("flux: 1\n"), ":41:1: flux: is no key here; known here: auditRequired, campus, campuses, credentials,"},
		"a tab":                        {edit("    name: 汉口", "\tname: 汉口"), ":7:1: is indented with a tab; YAML wants spaces"},
		"a missing colon":              {edit("home: dc-a", "home dc-a"), "is not YAML"},
		"a key twice":                  {add("campus: hankou\n"), ":41:1: campus: is there twice, first on line 2"},
		"a number in words":            {edit("maxInFlight: 64", "maxInFlight: many"), ":40:14: maxInFlight: must be a whole number"},
		"a duration without unit":      {edit("20s", "20"), ":29:22: endpoints[0].contract.serverTimeout: must say its unit: 20s for seconds, 20m for minutes"},
		"a duration in words":          {edit("20s", "soon"), ":29:22: endpoints[0].contract.serverTimeout: must be a duration such as 500ms, 30s or 5m"},
		"yes for true":                 {edit("versioning: true", "versioning: yes"), ":27:19: endpoints[0].contract.versioning: must be true or false"},
		"one thing for a list":         {edit("[https://his.group.test/fhir]", "https://his.group.test/fhir"), ":25:14: endpoints[0].aliases: must be a list"},
		"a list for one thing":         {edit("campus: hankou", "campus: [hankou]"), ":2:9: campus: must be a single value"},
		"a list for keys":              {edit("  his:\n    oauth2:", "  - his:\n    oauth2:"), "credentials: must be keys and values"},
		"an unknown home":              {edit("home: dc-a", "home: dc-c"), `:9:11: campuses[0].home: "dc-c" is no data centre; known: dc-a, dc-b`},
		"an unknown campus":            {edit("campus: hankou", "campus: hangkou"), `:2:9: campus: "hangkou" is no campus; known: hankou`},
		"an unknown store":             {edit("store: his,", "store: hsi,"), `:31:44: endpoints[1].store: "hsi" is no store; known: his, sso`},
		"a missing store":              {edit("    store: his\n", ""), ":21:5: endpoints[0].store: must name a store"},
		"a role of its own":            {edit("dc-b, role: active", "dc-b, role: hot"), `:12:22: datacenters[1].role: "hot" must be "active" or "standby"`},
		"a word for a contract":        {edit("racy", "yes"), `:28:26: endpoints[0].contract.conditionalCreate: "yes" must be "racy" or "atomic"`},
		"no scheme":                    {edit("https://his-a.group.test/fhir", "his-a.group.test"), ":24:10: endpoints[0].url: must be an absolute http or https URL"},
		"plain http":                   {edit("https://his-a", "http://his-a"), ":24:10: endpoints[0].url: is plain http; use https, or allow it for this endpoint with allowPlainHTTP"},
		"a password in the URL":        {edit("https://his-a", "https://user:MARK@his-a"), ":24:10: endpoints[0].url: must carry no user or password; use credentials"},
		"one address twice":            {edit("https://his-b", "https://his-a"), ":31:54: endpoints[1].url: is also the address of endpoints[0]"},
		"a secret in the file":         {edit("secret: {file: secret.txt}", "secret: s3cret-MARK"), ":38:15: credentials.his.oauth2.secret: must be keys and values"},
		"a secret's file is gone":      {edit("secret.txt", "gone.txt"), ":38:22: credentials.his.oauth2.secret.file: there is no such file"},
		"a secret's file is empty":     {edit("secret.txt", "empty.txt"), ":38:22: credentials.his.oauth2.secret.file: the file is empty"},
		"a variable that is not set":   {edit("{file: secret.txt}", "{env: HOSPITAL_NOT_SET}"), ":38:21: credentials.his.oauth2.secret.env: the environment variable HOSPITAL_NOT_SET is not set"},
		"two ways to a secret":         {edit("{file: secret.txt}", "{env: HOSPITAL_TEST_TOKEN, file: secret.txt}"), ":38:15: credentials.his.oauth2.secret: must say where the secret is, by env: VARIABLE or file: NAME"},
		"two kinds of credentials":     {edit("    oauth2:", "    bearer: {env: HOSPITAL_TEST_TOKEN}\n    oauth2:"), ":35:5: credentials.his: must have exactly one of bearer, basic and oauth2"},
		"no kind of credentials":       {add("endpointCredentials:\n  his/dc-a:\n"), "endpointCredentials.his/dc-a: must have exactly one of bearer, basic and oauth2"},
		"credentials for nobody":       {edit("credentials:\n  his:", "credentials:\n  hsi:"), ":35:5: credentials.hsi: is no system; known: his, sso"},
		"a token server of nowhere":    {edit("      system: sso", "      system: sos"), ":36:15: credentials.his.oauth2.system: must be a system of the topology"},
		"no client":                    {edit("      clientID: kiosk\n", ""), "credentials.his.oauth2.clientID: must not be empty"},
		"a key of the wrong curve":     {edit("secret: {file: secret.txt}", "key: p256.pem"), ":38:12: credentials.his.oauth2.key: must be RSA of at least 2048 bits, or ECDSA on P-384"},
		"a key that is a certificate":  {edit("secret: {file: secret.txt}", "key: cert.pem"), ":38:12: credentials.his.oauth2.key: the file holds no RSA or ECDSA private key"},
		"TLS for nobody":               {add("tls:\n  his-a: {serverName: x}\n"), ":42:10: tls.his-a: is no endpoint; known: his/dc-a, his/dc-b, sso/dc-a"},
		"a certificate alone":          {add("tls:\n  his/dc-a: {certificate: cert.pem}\n"), ":42:13: tls.his/dc-a: must have certificate and key together"},
		"authorities that are none":    {add("tls:\n  his/dc-a: {ca: secret.txt}\n"), ":42:18: tls.his/dc-a.ca: the file holds no certificate in PEM"},
		"a proxy with its password":    {add("proxy: {url: 'http://user:MARK@p:1'}\n"), ":41:14: proxy.url: must be an http URL with a host, without user or password"},
		"a source of nothing":          {add("source: {every: 5s}\n"), ":41:9: source: must have either file or url"},
		"a source in the clear":        {add("source: {url: 'http://config.test/x'}\n"), ":41:15: source.url: must be https"},
		"a source's key":               {add("source: {url: 'https://config.test/x', publicKey: abc}\n"), ":41:51: source.publicKey: must be an Ed25519 public key"},
		"a secret for its variable":    {edit("{file: secret.txt}", "{env: s3cret-MARK}"), "credentials.his.oauth2.secret.env: must be the name of an environment variable"},
		"a secret for a key":           {edit("{file: secret.txt}", "{s3cret-MARK}"), "credentials.his.oauth2.secret: has a key that does not belong here; known here: env, file"},
		"a secret that is an alias":    {edit("{file: secret.txt}", "*s3cret-MARK"), "put quotes around a value that begins with *"},
		"a secret of several lines":    {edit("secret.txt", "p256.pem"), "the file holds several lines; a secret is one"},
		"GBK":                          {edit("汉口主院区", "\xba\xba\xbf\xda"), ":7: is not UTF-8; save the file as UTF-8"},
		"a full-width comma":           {edit("- {id: dc-b, role: active}", "- {id: dc-b， role: active}"), ":12: holds a full-width sign"},
		"a full-width colon":           {edit("campus: hankou", "campus：hankou"), ":2: holds a full-width sign"},
		"a stray bracket":              {add("]\n"), ":41: is not YAML here, or a little before"},
		"an unclosed brace":            {edit("role: active}\n  - {id: dc-b", "role: active\n  - {id: dc-b"), "is not YAML here, or a little before"},
		"a tag":                        {edit("campus: hankou", "campus: !env hankou"), ":2:9: campus: has a tag (!), which is not read"},
		"a number with zeros":          {edit("64", "0100"), "maxInFlight: must be a whole number"},
		"a negative limit":             {edit("64", "-3"), ":40:14: maxInFlight: must not be negative; 0 means 512"},
		"a lost write ends at once":    {edit("20s", "1ns"), "endpoints[0].contract.serverTimeout: must be from 100ms to 1h0m0s"},
		"an agent of two lines":        {add("userAgent: |\n  ward-app\n"), "userAgent: must be one line"},
		"a header for no campus":       {edit("  - id: his\n", "  - id: his\n    campusBy: {name: X-Campus}\n"), "systems[0].campusBy.in: must be path, header or query"},
		"a folder of home":             {add("stateDir: ~/x\n"), "stateDir: must be a folder, by its whole name"},
		"a state that is a file":       {add("stateDir: secret.txt\n"), "stateDir: must be a folder"},
		"a source with a password":     {add("source: {url: 'https://u:MARK@config.test/x'}\n"), "source.url: must be https, or http on this machine, without user, password or query"},
		"a source that never rests":    {add("source: {file: x, every: 1ns}\n"), "source.every: must be at least 1s"},
		"a URL with a blank":           {edit("https://his-b.group.test/fhir\"", "https://his-b.group.test/fhir \""), "endpoints[1].url: must be an absolute"},
		"a missing system":             {edit("system: his, datacenter: dc-b, ", "datacenter: dc-b, "), "endpoints[1].system: must name a system"},
		"a key file is gone":           {edit("secret: {file: secret.txt}", "key: gone.pem"), "credentials.his.oauth2.key: there is no such file"},
		"an address for a name":        {add("tls:\n  his/dc-a: {serverName: 'https://x/'}\n"), "tls.his/dc-a.serverName: must be a host's name alone"},
		"an anchor":                    {edit("store: his,", "store: &h his,"), ":31:44: endpoints[1].store: uses an anchor or alias; write the value out"},
		"a second document":            {add("---\na: 1\n"), "holds a second document"},
		"nothing":                      {func(string) string { return "" }, ": is empty"},
		"only a word":                  {func(string) string { return "hospital" }, ":1:1: must be keys and values"},
		"audit of a system of nowhere": {add("auditRequired: [hsi]\n"), `:41:17: auditRequired[0]: "hsi" is no system; known: his, sso`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := c.change(sound)
			require.NotEqual(t, sound, changed, "the mistake was not made")
			_, err := load(t, folder(t), changed)
			require.ErrorIs(t, err, hospital.ErrConfig)
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "MARK", "no secret stands in an error")
			var faults *hospital.ConfigFaults
			require.ErrorAs(t, err, &faults)
			assert.LessOrEqual(t, len(faults.Faults), 3, "one mistake makes few messages: %s", err)
		})
	}
}

// Long names, small letters and Chinese comments are nobody's mistake.
func TestWhatIsNoMistake(t *testing.T) { //nolint:paralleltest // it sets an environment variable
	t.Setenv("hospital_test_secret", "x")
	long := strings.Repeat("数", 60)
	text := strings.NewReplacer("id: dc-b", "id: "+long, "datacenter: dc-b", "datacenter: "+long, "{file: secret.txt}", "{env: hospital_test_secret}").Replace(sound)
	_, err := load(t, folder(t), "# 汉口院区，主数据中心：一\n"+text+"tls:\n  his/"+long+": {serverName: x}\n")
	require.NoError(t, err)
	_, err = load(t, folder(t), "# 汉口院区，主数据中心：一\nname: '一，二'\n]\n")
	require.ErrorContains(t, err, "is not YAML here")
}

// What can be told of the rest is told beside a key that cannot be read, and once.
func TestMistakesOfSeveralKindsAtOnce(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("maxInFlight", "maxInflights", "home: dc-a", "home: dc-c", "clientID", "clientId").Replace(sound) + "auditRequired: [hsi]\n"
	_, err := load(t, folder(t), text)
	var faults *hospital.ConfigFaults
	require.ErrorAs(t, err, &faults)
	var places []string
	for _, f := range faults.Faults {
		places = append(places, f.Place)
	}
	assert.Equal(t, []string{"campuses[0].home", "credentials.his.oauth2.clientId", "maxInflights", "auditRequired[0]"}, places, "%s", err)
	_, err = load(t, folder(t), "source: {file: hospital.yaml}\nendpoints: [{system: his}]\n")
	require.ErrorContains(t, err, "endpoints[0].datacenter: must name a data centre", "half a description is one")
}

// A document made to hurt is refused in little time and few words.
func TestHostileConfigurations(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a million items":   "endpoints:\n" + strings.Repeat("- \n", 1_000_000),
		"a million objects": "endpoints: [{}" + strings.Repeat(",{}", 1_000_000) + "]",
		"unknown keys": strings.Repeat("a", 10) + func() string {
			var b strings.Builder
			for i := range 300_000 {
				fmt.Fprintf(&b, ": 1\nk%d", i)
			}
			return b.String()
		}() + ": 1\n",
		"one long key": strings.Repeat("k", 4<<20-10) + ": 1\n",
		"deep":         strings.Repeat("[", 9_000),
		"larger":       strings.Repeat(" ", 5<<20),
	} {
		_, err := load(t, folder(t), text)
		require.ErrorIs(t, err, hospital.ErrConfig, name)
		assert.Less(t, len(err.Error()), 1<<16, name)
	}
}

// A configuration prints no secret, however it is printed.
func TestConfigPrintsNoSecret(t *testing.T) { //nolint:paralleltest // it sets an environment variable
	t.Setenv("HOSPITAL_TEST_TOKEN", "from-env-MARK")
	cfg, err := load(t, folder(t), sound+"proxy: {url: 'http://p:1', user: u, password: {env: HOSPITAL_TEST_TOKEN}}\n")
	require.NoError(t, err)
	password, _ := cfg.Proxy.User.Password()
	require.Equal(t, "from-env-MARK", password, "though it is known")
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "config", cfg, "client", client)
	text := b.String() + fmt.Sprintf("%v %+v %#v %s %v %+v %#v", cfg, cfg, cfg, cfg, &cfg, client, client)
	assert.NotContains(t, text, "MARK")
}

// The reference is a file that works, and nothing in it is refused by New.
func TestTheReferenceWorks(t *testing.T) { //nolint:paralleltest // it sets environment variables
	for _, name := range []string{"HOSPITAL_SSO_TOKEN", "HOSPITAL_SSO_SECRET", "HOSPITAL_PROXY_PASSWORD", "HOSPITAL_CONFIG_TOKEN"} {
		t.Setenv(name, "x")
	}
	dir := folder(t)
	reference, err := os.ReadFile(filepath.Join("examples", "hospital.yaml"))
	require.NoError(t, err)
	rename := func(from, to string) { require.NoError(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))) }
	rename("secret.txt", "his-dr-password")
	rename("p384.pem", "kiosk-key.pem")
	cert := selfSigned(t, filepath.Join(dir, "kiosk-key.pem"))
	for _, name := range []string{"kiosk.pem", "group-ca.pem"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), cert, 0o600))
	}
	cfg, err := load(t, dir, string(reference))
	require.NoError(t, err)
	cfg.Audit = func(context.Context, hospital.AuditRecord) error { return nil }
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	require.NoError(t, client.Close())
}

// selfSigned is a certificate for a key in a file.
func selfSigned(t *testing.T, keyFile string) []byte {
	t.Helper()
	data, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// All of them at once, in the order of the lines.
func TestEveryMistakeIsReported(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("home: dc-a", "home: dc-c", "role: active}\n  - {id: dc-b", "role: hot}\n  - {id: dc-b", "secret.txt", "gone.txt").Replace(sound)
	_, err := load(t, folder(t), text)
	var faults *hospital.ConfigFaults
	require.ErrorAs(t, err, &faults)
	var lines []int
	for _, f := range faults.Faults {
		lines = append(lines, f.Line)
	}
	assert.Equal(t, []int{9, 11, 38}, lines, "%s", err)
	require.NotErrorIs(t, err, os.ErrNotExist)
	_, err = hospital.LoadConfig("no-such.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, err, hospital.ErrConfig)
}

// A secret's file may be replaced while the program runs.
func TestSecretsAreReadAnew(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cfg, err := load(t, dir, sound)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret.txt"), []byte("other"), 0o600))
	secret, err := cfg.Credentials[campus.HIS].(hospital.OAuth2).Secret()
	require.NoError(t, err)
	assert.Equal(t, "other", secret)
}

// Our certificate is read again when it is renewed, and the old one serves while
// its files are being replaced.
func TestCertificatesAreReadAnew(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cfg, err := load(t, dir, sound+"tls:\n  his/dc-a: {certificate: cert.pem, key: p256.pem, serverName: his.internal}\n")
	require.NoError(t, err)
	current := func() []byte {
		c, err := cfg.TLS["his/dc-a"].GetClientCertificate(nil)
		require.NoError(t, err)
		return c.Certificate[0]
	}
	first := current()
	require.NoError(t, os.Remove(filepath.Join(dir, "cert.pem")))
	assert.Equal(t, first, current())
	renewed := folder(t)
	for _, name := range []string{"p256.pem", "cert.pem"} {
		data, err := os.ReadFile(filepath.Join(renewed, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	later := time.Now().Add(time.Minute)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "cert.pem"), later, later))
	assert.NotEqual(t, first, current())
}
