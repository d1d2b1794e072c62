package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bellhop/engine/config"
)

// remoteFlags say which server a command asks.
type remoteFlags struct {
	config, admin, token string
	json                 bool
}

// tokenVariable is the environment variable with the admin token.
const tokenVariable = "BELLHOP_TOKEN"

func (f *remoteFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.admin, "admin", "", "the operators' `address` of the server, if not the configured one")
	flags.StringVar(&f.token, "token", "", "the admin `token`; "+tokenVariable+" of the environment is safer, and the configuration may have it")
	flags.BoolVar(&f.json, "json", false, "print the API's JSON")
}

// A client calls a server's admin API.
type client struct {
	base  string // http://127.0.0.1:8081
	token string
	http  *http.Client
}

// clientFor returns a client for the server that the flags or the configuration name.
func (p *program) clientFor(f *remoteFlags) (*client, error) {
	cfg, _, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return nil, err
	}
	token, _ := p.lookup(tokenVariable)
	c := &client{token: cmp.Or(f.token, token, cfg.AdminToken), http: &http.Client{Timeout: time.Minute}}
	if c.base, err = baseURL(cmp.Or(f.admin, cfg.Admin)); err != nil {
		return nil, usagef("--admin: %w", err)
	}
	if f.admin == "" && cfg.Path == "" {
		c.http.Transport = &unnamedServer{p: p, flag: "--admin"}
	}
	return c, nil
}

// An unnamedServer sends requests to the default server if neither a flag nor a configuration names one, and tells
// people which server that is. flag is the flag that would name it.
type unnamedServer struct {
	p    *program
	flag string
	told sync.Once
}

func (s *unnamedServer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		s.told.Do(func() {
			_, _ = fmt.Fprintf(s.p.stderr, "There is no %s in this folder, so this asks the server at %s://%s.\n", config.FileName, r.URL.Scheme, r.URL.Host)
		})
	}
	return resp, err
}

// baseURL turns an address to listen on into a URL, and leaves a URL as it is. A server that listens on all
// addresses is called on loopback.
func baseURL(address string) (string, error) {
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return "", fmt.Errorf("%q is not an address; write host:port or a URL", address)
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		address = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%q is not an address; write host:port or a URL", address)
	}
	return strings.TrimSuffix(address, "/"), nil
}

// answerLimit is how much of an answer is read, in bytes.
const answerLimit = 64 << 20

// call makes one request to path, such as /api/v1/events, and decodes the answer into v. It also returns the answer as
// it came. question is sent as JSON unless it is nil. If the server refuses, the error has the server's words.
func (c *client) call(ctx context.Context, method, path string, question, v any) (json.RawMessage, error) {
	var asked bytes.Buffer
	if question != nil {
		if err := json.NewEncoder(&asked).Encode(question); err != nil {
			return nil, fmt.Errorf("asking the server: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, &asked)
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w", err)
	}
	if question != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	status, body, err := exchange(c.http, r)
	if err != nil {
		return nil, err
	}
	if status == http.StatusUnauthorized {
		return nil, fmt.Errorf("the server at %s asks for its admin token: set %s, or name the configuration that holds it with --config", c.base, tokenVariable)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("the server at %s answers %s", c.base, refusal(status, body))
	}
	return body, c.decode(body, v)
}

// decode reads an answer, or a part of one.
func (c *client) decode(answer json.RawMessage, v any) error {
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("the answer of %s is not one of Bellhop's: %w", c.base, err)
	}
	return nil
}

// exchange sends r and reads the answer, up to answerLimit.
func exchange(c *http.Client, r *http.Request) (status int, body []byte, err error) {
	resp, err := c.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		base := r.URL.Scheme + "://" + r.URL.Host
		op, ok := errors.AsType[*net.OpError](err)
		if !ok || op.Op != "dial" {
			return 0, nil, fmt.Errorf("asking %s: %w", base, err)
		}
		if s, ok := c.Transport.(*unnamedServer); ok {
			return 0, nil, fmt.Errorf("no server answers at %s (%w), and there is no %s in this folder: run this in the folder of yours, or name it with --config, or name the server with %s",
				base, op.Err, config.FileName, s.flag)
		}
		return 0, nil, fmt.Errorf("no server answers at %s: %w", base, op.Err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(resp.Body, answerLimit)); err != nil {
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", r.URL.Host, err)
	}
	return resp.StatusCode, body, nil
}

// refusal returns what an answer that is not a success says, in one line.
func refusal(status int, body []byte) string {
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		text += ": " + said.Error
	}
	return text
}

// pages gets path, and every page after it if all is set. rows is the key of the rows in a page. The rows of all pages
// are joined into one answer.
func (c *client) pages(ctx context.Context, path, rows string, query url.Values, all bool) (json.RawMessage, error) {
	joined := []json.RawMessage{}
	for {
		page := map[string]json.RawMessage{}
		if _, err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		var list []json.RawMessage
		var next string
		if err := cmp.Or(c.decode(page[rows], &list), c.decode(page["next"], &next)); err != nil {
			return nil, err
		}
		joined = append(joined, list...)
		if next == "" || !all {
			return json.Marshal(map[string]any{rows: joined, "next": next})
		}
		query.Set("before", next)
	}
}

// show prints v as JSON, on one line if indent is "", or calls print, which prints it for people.
func (p *program) show(asJSON bool, v any, indent string, print func()) error {
	if asJSON {
		return p.writeJSON(v, indent)
	}
	print()
	return nil
}

// writeJSON writes v as JSON, on one line if indent is "".
func (p *program) writeJSON(v any, indent string) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
