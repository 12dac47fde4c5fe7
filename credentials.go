package hospital

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/hospital-go/hospital/campus"
)

// Credential authorizes requests: [BearerToken], [Bearer], [Basic], [OAuth2], or a
// [CredentialFunc] that signs them. It must be safe for concurrent use.
type Credential interface {
	// Authorize adds credentials to one request to one endpoint. It runs once per
	// attempt, on a request of that attempt's own, and must not keep it. An error
	// fails the attempt before anything is sent; its text is not shown.
	// failover.ServerTime(ctx) is the endpoint's clock.
	Authorize(ctx context.Context, e *campus.Endpoint, req *http.Request) error
}

// CredentialFunc is a [Credential] of one function.
type CredentialFunc func(ctx context.Context, e *campus.Endpoint, req *http.Request) error

// Authorize calls f.
func (f CredentialFunc) Authorize(ctx context.Context, e *campus.Endpoint, req *http.Request) error {
	return f(ctx, e, req)
}

// Bearer sends a token (RFC 6750) that source returns, once per attempt; source
// must be fast and safe for concurrent use.
func Bearer(source func(ctx context.Context) (string, error)) Credential {
	return CredentialFunc(func(ctx context.Context, _ *campus.Endpoint, req *http.Request) error {
		token, err := source(ctx)
		if err != nil || !validToken(token) {
			return Refuse(ErrNoToken, "the token source failed") // its own text may hold a secret
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
}

// BearerToken sends a fixed token (RFC 6750).
func BearerToken(token string) Credential {
	return Bearer(func(context.Context) (string, error) { return token, nil })
}

// Basic sends a user name and password (RFC 7617).
func Basic(user, password string) Credential {
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return CredentialFunc(func(_ context.Context, _ *campus.Endpoint, req *http.Request) error {
		req.Header.Set("Authorization", header)
		return nil
	})
}

// maxToken bounds a token's bytes.
const maxToken = 16 << 10

// validToken: what may stand behind "Bearer " (RFC 6750, section 2.1: b64token).
func validToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == ',' {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}

// bindable credentials need the client they belong to.
type bindable interface {
	bind(c *Client) Credential
	// problem is what is wrong with it: a field's key and what would be right; empty for nothing.
	problem(t *campus.Topology) (key, text string)
}

// renewable credentials may have a better token after a refusal.
type renewable interface {
	// refused is told of a 401 to a request it authorized; true: try once more.
	refused(ctx context.Context, req *http.Request) bool
}

// credentials are a client's, bound to it.
type credentials struct {
	systems   map[campus.SystemID]Credential
	endpoints map[campus.EndpointID]Credential
}

func (c *Client) bindCredentials() {
	c.credentials = credentials{bindAll(c, c.config.Credentials), bindAll(c, c.config.EndpointCredentials)}
}

func bindAll[K comparable](c *Client, unbound map[K]Credential) map[K]Credential {
	out := make(map[K]Credential, len(unbound))
	for id, credential := range unbound {
		if b, ok := credential.(bindable); ok {
			credential = b.bind(c)
		}
		out[id] = credential
	}
	return out
}

func (c *credentials) of(e *campus.Endpoint) Credential {
	if own, ok := c.endpoints[e.ID]; ok {
		return own
	}
	return c.systems[e.System]
}

func (c *Client) authorize(ctx context.Context, e *campus.Endpoint, req *http.Request) error {
	if e.DICOMweb.RawQuery { // before a credential signs it
		plainQuery(req.URL)
	}
	if t, ok := ctx.Value(tokenRequestKey{}).(*tokenSource); ok && t.oauth.System == e.System {
		return t.authenticate(ctx, e, req)
	}
	if credential := c.credentials.of(e); credential != nil {
		return credential.Authorize(ctx, e, req)
	}
	return nil
}

func (c *Client) refused(ctx context.Context, e *campus.Endpoint, req *http.Request) bool {
	r, ok := c.credentials.of(e).(renewable)
	return ok && r.refused(ctx, req)
}
