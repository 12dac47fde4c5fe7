package hospital

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// OAuth2 is a [Credential] by the OAuth 2 client credentials grant (RFC 6749,
// section 4.4), authenticated by a secret or, as SMART Backend Services ask, by a
// signed assertion (private_key_jwt, RFC 7523). Exactly one of Secret and Key is
// given.
//
// A token is fetched once for all who need it, kept until 80 % of its life is
// over, renewed while it still serves, and once after an endpoint refused it with
// 401. The token server fails over like any system. While it cannot be had, calls
// fail with [ErrNoToken] before anything is sent, and the server is asked again
// after a growing pause, 1 to 30 s, not per call.
type OAuth2 struct {
	// System is the token server: a system of the topology whose endpoints' URLs are
	// its token endpoints.
	System campus.SystemID
	// ClientID as registered there.
	ClientID string
	// Secret returns the client's secret; it is asked for each token, so that it may change.
	Secret func() (string, error)
	// Key signs assertions: an RSA key of at least 2048 bits (RS384) or an ECDSA key
	// on P-384 (ES384).
	Key crypto.Signer
	// KeyID is the kid under which the public key is registered.
	KeyID string
	// Audience is the assertion's aud; empty means the URL of the token endpoint that is asked.
	Audience string
	// Scopes asked for, such as "system/*.read".
	Scopes []string
}

// Authorize fails: an OAuth2 works in a [Config] only.
func (o OAuth2) Authorize(context.Context, *campus.Endpoint, *http.Request) error {
	return Refuse(ErrInvalidArgument, "OAuth2 works in Config.Credentials only")
}

func (o OAuth2) bind(c *Client) Credential {
	o.Scopes = slices.Clone(o.Scopes)
	t := &tokenSource{oauth: o, client: c}
	if o.Key != nil {
		t.method = signingMethod(o.Key)
	}
	return t
}

func (o OAuth2) problem(t *campus.Topology) (key, text string) {
	switch {
	case t != nil && t.System(o.System) == nil:
		return "system", "must be a system of the topology"
	case o.ClientID == "":
		return "clientID", "must not be empty"
	case (o.Secret == nil) == (o.Key == nil):
		return "", "must have either secret or key"
	case o.Key != nil && signingMethod(o.Key) == nil:
		return "key", "must be RSA of at least 2048 bits, or ECDSA on P-384"
	}
	return "", ""
}

func signingMethod(key crypto.Signer) jwt.SigningMethod {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			return jwt.SigningMethodRS384
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P384() {
			return jwt.SigningMethodES384
		}
	}
	return nil
}

// Times of tokens.
const (
	assertionLife  = 5 * time.Minute // the most SMART allows
	unstatedLife   = 5 * time.Minute // of a token without expires_in
	maxTokenLife   = 24 * time.Hour
	youngToken     = 10 * time.Second // one this young was not refused for its age
	minTokenPause  = time.Second
	maxTokenPause  = 30 * time.Second
	maxTokenAnswer = 64 << 10
)

// token is one access token.
type token struct {
	header           string
	born             time.Time
	renewAt, expires time.Time
	refused          atomic.Bool // by somebody, so that another is worth asking for
}

// tokenSource is one OAuth2 credential of one client.
type tokenSource struct {
	oauth  OAuth2
	client *Client
	method jwt.SigningMethod

	current  atomic.Pointer[token]
	group    singleflight.Group
	byServer atomic.Bool // the last assertion was by the server's clock, which is not ours
	ownClock atomic.Bool // assertions by our clock, because that was refused

	mu     sync.Mutex
	failed error // why there is none, until then
	until  time.Time
	pause  time.Duration
}

// Authorize sends the current token, or waits for one.
func (t *tokenSource) Authorize(ctx context.Context, _ *campus.Endpoint, req *http.Request) error {
	now, have := time.Now(), t.current.Load()
	if have == nil || !now.Before(have.expires) {
		var err error
		if have, err = t.wait(ctx); err != nil {
			return err
		}
	} else if !now.Before(have.renewAt) && t.resting(now) == nil {
		t.fetch(ctx) // nobody waits: the old one still serves
	}
	req.Header.Set("Authorization", have.header)
	return nil
}

// refused asks for another token than the one that was refused, unless that is too
// young for its age to be the reason; somebody may have a newer one already. The
// old one stays for everybody else until there is another: a single server's
// refusal must not leave all of them without.
func (t *tokenSource) refused(ctx context.Context, req *http.Request) bool {
	have, used := t.current.Load(), req.Header.Get("Authorization")
	if have == nil || have.header != used {
		return true
	}
	if time.Since(have.born) < youngToken || t.resting(time.Now()) != nil {
		return false
	}
	have.refused.Store(true)
	fresh, err := t.wait(ctx)
	return err == nil && fresh.header != used
}

// resting is why the token server is not asked just now.
func (t *tokenSource) resting(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.until) {
		return t.failed
	}
	return nil
}

func (t *tokenSource) wait(ctx context.Context) (*token, error) {
	if err := t.resting(time.Now()); err != nil {
		return nil, err
	}
	select {
	case r := <-t.fetch(ctx):
		got, _ := r.Val.(*token)
		return got, r.Err
	case <-ctx.Done():
		return nil, t.fail("the token server was too slow", 0)
	}
}

// fetch asks for a token, once however many ask. It goes on when its caller gives up.
func (t *tokenSource) fetch(ctx context.Context) <-chan singleflight.Result {
	return t.group.DoChan("", func() (any, error) {
		if have := t.current.Load(); have != nil && time.Now().Before(have.renewAt) && !have.refused.Load() {
			return have, nil // it came just now
		}
		got, err := t.ask(context.WithoutCancel(ctx))
		t.settle(got, err)
		return got, err
	})
}

// settle keeps the token, or how long not to ask again.
func (t *tokenSource) settle(got *token, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.current.Store(got)
		t.failed, t.pause, t.until = nil, 0, time.Time{}
		return
	}
	t.pause = min(max(2*t.pause, minTokenPause), maxTokenPause)
	t.failed, t.until = err, time.Now().Add(t.pause-rand.N(t.pause/5)) //nolint:gosec // jitter
}

func (t *tokenSource) fail(reason string, status int) error {
	return &Error{Code: ErrNoToken, System: t.oauth.System, Reason: reason, Status: status}
}

type tokenRequestKey struct{}

// ask makes one request, over whichever endpoint answers.
func (t *tokenSource) ask(ctx context.Context) (*token, error) {
	ctx = context.WithValue(ctx, tokenRequestKey{}, t)
	attempt, overall := Quick.times()
	request := &failover.Call{
		System: t.oauth.System, Campus: t.campus(), Kind: campus.ReadAny, Op: "oauth2.token", Template: "token",
		Repeat: Safe, AttemptTimeout: attempt, Timeout: overall, MaxBody: maxTokenAnswer, Classify: classifyToken,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, virtualBase(t.oauth.System), http.NoBody)
	if err != nil {
		return nil, t.fail("no request can be made", 0)
	}
	req.Header.Set("Accept", "application/json")
	t.client.mark(req.Header, &call{})
	resp, err := t.client.engine.Do(ctx, request, req)
	if err != nil {
		return nil, t.explain(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, t.fail("the token server's answer was cut", resp.StatusCode)
	}
	answer, problem := readToken(body)
	switch {
	case resp.StatusCode != http.StatusOK:
		t.ownClock.Store(t.byServer.Load()) // a clock that a gateway told wrongly is not believed twice
		return nil, t.fail("the token server refused: "+answer.reason(), resp.StatusCode)
	case problem != "":
		return nil, t.fail(problem, resp.StatusCode)
	}
	now := time.Now()
	life := answer.life()
	return &token{header: "Bearer " + answer.AccessToken, born: now, renewAt: now.Add(life * 4 / 5), expires: now.Add(life)}, nil
}

// campus is one whose routes lead to the token server.
func (t *tokenSource) campus() campus.ID {
	if t.client.config.Campus != "" {
		return t.client.config.Campus
	}
	return t.client.Topology().Campuses()[0]
}

// explain says in fixed words why no answer came.
func (t *tokenSource) explain(err error) error {
	var lost *failover.Error
	if !errors.As(err, &lost) {
		return t.fail("the topology has no way to the token server", 0)
	}
	if own := (*Error)(nil); errors.As(lost.AuthorizeError(), &own) {
		return own
	}
	switch lost.Fault {
	case failover.FaultForeign:
		return t.fail("something other than the token server answered, or its answer is no token", lost.Status)
	case failover.FaultTimeout:
		return t.fail("the token server was too slow", lost.Status)
	default:
		return t.fail("the token server cannot be reached", lost.Status)
	}
}

// authenticate makes an attempt's body: a fresh assertion each time, because its
// jti is good for one use and its aud is the endpoint that is asked.
func (t *tokenSource) authenticate(ctx context.Context, e *campus.Endpoint, req *http.Request) error {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(t.oauth.Scopes) > 0 {
		form.Set("scope", strings.Join(t.oauth.Scopes, " "))
	}
	if t.oauth.Key != nil {
		audience := t.oauth.Audience
		if audience == "" {
			audience = e.Base().String()
		}
		now := failover.ServerTime(ctx)
		if t.ownClock.Load() {
			now = time.Now()
		}
		t.byServer.Store(time.Until(now).Abs() > time.Second)
		assertion, err := t.assertion(audience, now)
		if err != nil {
			return t.fail("the key cannot sign", 0)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	} else {
		secret, err := t.oauth.Secret()
		if err != nil || secret == "" {
			return t.fail("the client's secret cannot be had", 0)
		}
		req.SetBasicAuth(url.QueryEscape(t.oauth.ClientID), url.QueryEscape(secret)) // RFC 6749, section 2.3.1
	}
	body := form.Encode()
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return nil
}

func (t *tokenSource) assertion(audience string, now time.Time) (string, error) {
	claims := jwt.MapClaims{
		"iss": t.oauth.ClientID, "sub": t.oauth.ClientID, "aud": audience,
		"iat": now.Unix(), "exp": now.Add(assertionLife - youngToken).Unix(), "jti": NewNumber(),
	}
	assertion := jwt.NewWithClaims(t.method, claims)
	if t.oauth.KeyID != "" {
		assertion.Header["kid"] = t.oauth.KeyID
	}
	return assertion.SignedString(t.oauth.Key)
}

// tokenAnswer is RFC 6749's, sections 5.1 and 5.2.
type tokenAnswer struct {
	AccessToken string       `json:"access_token"`
	TokenType   string       `json:"token_type"`
	ExpiresIn   *json.Number `json:"expires_in"`
	Problem     string       `json:"error"`
}

// readToken reads an answer and says in fixed words why it is no token.
func readToken(body []byte) (a tokenAnswer, problem string) {
	if err := json.Unmarshal(body, &a); err != nil {
		return tokenAnswer{}, "the token server's answer is not JSON"
	}
	switch {
	case !validToken(a.AccessToken):
		return a, "the token server's answer has no access token"
	case !strings.EqualFold(a.TokenType, "bearer"):
		return a, "the token is no bearer token"
	case a.life() <= 0:
		return a, "the token is said to have expired"
	}
	return a, ""
}

func (a tokenAnswer) life() time.Duration {
	if a.ExpiresIn == nil {
		return unstatedLife
	}
	seconds, err := a.ExpiresIn.Float64()
	if err != nil || !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, maxTokenLife.Seconds()) * float64(time.Second))
}

// reason lets only words of RFC 6749 into an error.
func (a tokenAnswer) reason() string {
	switch a.Problem {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return a.Problem
	}
	return "without a reason of the standard"
}

// classifyToken judges a token server's answer: what is neither a token nor a
// refusal in its form is somebody else's.
func classifyToken(_ *failover.Call, resp *http.Response, body []byte) failover.Verdict {
	v := failover.ClassifyStatus(nil, resp)
	a, problem := readToken(body)
	if (v.Outcome == failover.Committed && problem != "") || (v.Outcome == failover.Rejected && a.Problem == "") {
		return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultForeign}
	}
	return v
}
