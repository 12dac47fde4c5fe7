package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// haproxyConfig: checks every 100 ms, traffic watched too, sessions of a server
// that went down cut, reads retried by the proxy. %s: front, home, peer.
const haproxyConfig = `global
  maxconn 4096
defaults
  mode http
  timeout connect 200ms
  timeout client 30s
  timeout server 1s
  timeout check 200ms
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout 500 502 503 504
  http-reuse always
frontend front
  bind %s
  default_backend both
backend both
  http-request disable-l7-retry if !METH_GET
  option httpchk GET /health
  default-server inter 100ms fastinter 50ms downinter 100ms fall 2 rise 2 observe layer7 error-limit 3 on-error mark-down on-marked-down shutdown-sessions
  server home %s check
  server peer %s check backup
`

// nginxConfig: passive checks only (active ones are not in the free edition);
// what is not idempotent is not passed on. %s: temporary folder, front, home, peer.
const nginxConfig = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  upstream both {
    server %[3]s max_fails=1 fail_timeout=2s;
    server %[4]s backup;
    keepalive 64;
  }
  server {
    listen %[2]s;
    keepalive_requests 1000000;
    location / {
      proxy_pass http://both;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 200ms;
      proxy_send_timeout 1s;
      proxy_read_timeout 1s;
      proxy_next_upstream error timeout http_500 http_502 http_503 http_504;
      proxy_next_upstream_tries 2;
    }
  }
}
`

func startHAProxy(s *sites, _ options) (sender, error) {
	return startProxy("haproxy", func(dir, front string) (string, []string) {
		return fmt.Sprintf(haproxyConfig, front, s.hosts()[0], s.hosts()[1]), []string{"-db", "-q", "-f", filepath.Join(dir, "conf")}
	})
}

func startNginx(s *sites, _ options) (sender, error) {
	return startProxy("nginx", func(dir, front string) (string, []string) {
		return fmt.Sprintf(nginxConfig, dir, front, s.hosts()[0], s.hosts()[1]),
			[]string{"-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", filepath.Join(dir, "conf")}
	})
}

// findProgram looks also where servers are installed, which is not on every PATH.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// startProxy runs a proxy in a temporary folder of its own.
func startProxy(name string, configure func(dir, front string) (config string, args []string)) (sender, error) {
	program, err := findProgram(name)
	if err != nil {
		return sender{}, err
	}
	dir, err := os.MkdirTemp("", "bench-"+name)
	if err != nil {
		return sender{}, err
	}
	front, err := freeAddress()
	if err != nil {
		return sender{}, errors.Join(err, os.RemoveAll(dir))
	}
	config, args := configure(dir, front)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(config), 0o600); err != nil {
		return sender{}, errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return sender{}, errors.Join(err, os.RemoveAll(dir))
	}
	transport := tunedTransport()
	transport.ResponseHeaderTimeout = 2 * time.Second
	out := sender{do: plain(front, transport), close: func() {
		transport.CloseIdleConnections()
		stop(cmd)
		_ = os.RemoveAll(dir)
	}}
	if err := await(front, transport); err != nil {
		out.close()
		return sender{}, err
	}
	return out, nil
}

// plain is a tuned client of one address that retries reads.
func plain(host string, transport http.RoundTripper) func(context.Context, call) (*http.Response, error) {
	client := &http.Client{Transport: transport}
	return func(ctx context.Context, c call) (*http.Response, error) {
		attempts := 3
		if c.write {
			attempts = 1
		}
		for {
			req, err := c.request(ctx, host)
			if err != nil {
				return nil, err
			}
			resp, err := client.Do(req)
			attempts--
			if attempts == 0 || ctx.Err() != nil || (err == nil && resp.StatusCode < http.StatusInternalServerError) {
				return resp, err
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// await waits until the proxy answers for a server.
func await(front string, transport http.RoundTripper) error {
	client := &http.Client{Transport: transport, Timeout: time.Second}
	for range 100 {
		resp, err := client.Get("http://" + front + "/health")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("proxy did not start")
}

// stop asks the process to end, and after 3 s does not ask.
func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
}
