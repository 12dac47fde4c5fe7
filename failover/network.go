package failover

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// checkNetwork refuses what would weaken or misdirect connections.
func (o *Options) checkNetwork() error {
	for id, config := range o.TLS {
		if config != nil && config.InsecureSkipVerify {
			return fmt.Errorf("failover: Options.TLS[%s] verifies nothing; name the authority in RootCAs instead", id)
		}
	}
	if p := o.Proxy; p != nil && (p.Scheme != "http" || p.Hostname() == "") {
		return errors.New("failover: Options.Proxy must be an http URL with a host")
	}
	return nil
}

// tlsOf completes an endpoint's configuration.
func tlsOf(e *campus.Endpoint, o *Options) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if own := o.TLS[e.ID]; own != nil {
		config = own.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	}
	config.NextProtos = nil // HTTP/1.1
	if e.HTTP2 {
		config.NextProtos = []string{"h2"}
	}
	if config.ServerName == "" {
		config.ServerName = e.Base().Hostname()
	}
	return config
}

// throughProxy dials by CONNECT. net/http's own way would shake hands where a
// quietConn cannot follow.
func throughProxy(dial DialFunc, proxy *url.URL) DialFunc {
	address := proxy.Host
	if proxy.Port() == "" {
		address = net.JoinHostPort(proxy.Hostname(), "80")
	}
	return func(ctx context.Context, network, target string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		err = connect(conn, proxy.User, target)
		if !stop() || err != nil {
			return nil, errors.Join(errProxy, conn.Close())
		}
		return conn, nil
	}
}

var errProxy = errors.New("failover: the proxy did not connect")

// maxProxyAnswer bounds what a proxy may say.
const maxProxyAnswer = 16 << 10

func connect(conn net.Conn, user *url.Userinfo, target string) error {
	head := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if user != nil {
		password, _ := user.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // closing would read the tunnel
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || reader.Buffered() > 0 { // whatever a 200 says of a body, there is none (RFC 9110, section 9.3.6)
		return errProxy
	}
	return nil
}
