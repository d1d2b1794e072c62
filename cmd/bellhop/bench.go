package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/bench"
	"bellhop/engine/bare"
	"bellhop/engine/config"
	"bellhop/engine/store"
)

type benchFlags struct {
	urls                      []string
	source, config, key       string
	sink, store, write        string
	rate, connections         int
	locations, rules, servers int
	length                    time.Duration
	signed, bare, json        bool
}

func (p *program) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load a server with bookings, and measure how it copes",
		Long: `Bench sends bookings, moves and cancellations of many locations to a server, with one rule for each location. It
measures how soon they are acknowledged and how soon their deliveries arrive, and checks that every acknowledged
event is delivered, once. Times count from when a webhook should have been sent, so a server that falls behind
cannot hide it.

Without --url it starts a server of its own on this machine, in a temporary folder, and ends it. A server that is to be
loaded with --url needs the rules and the connection that --write puts into a folder.
With --bare, the same load also goes to a server that only appends each webhook to a file and flushes it to the same
disk, for a second in turn, and bench says how many of its acknowledgements the server reaches.
It exits with 0 if everything was acknowledged and delivered, else with 1.`,
		Example: `  bellhop bench --rate 500 --for 1m
  bellhop bench --write big --rules 100000 --sink 192.0.2.7:8090
  bellhop bench --url http://192.0.2.8:8080 --sink 192.0.2.7:8090`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.bench(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.urls, "url", nil, "the public `address` of the server to load, or several that share a database; without it, one that bench starts")
	flags.StringVar(&f.source, "source", config.DefaultSource, "with --url, the `source` to send as")
	configFlag(cmd, &f.config)
	flags.StringVar(&f.key, "key", "", "with --url, a PEM `file` with the private key to sign with")
	flags.BoolVar(&f.signed, "signed", false, "without --url, sign the webhooks as the platform does")
	flags.IntVar(&f.rate, "rate", 0, "webhooks a `second`; 0 is as many as the connections can send")
	flags.DurationVar(&f.length, "for", 10*time.Second, "how long webhooks are sent")
	flags.IntVar(&f.connections, "connections", 64, "webhooks on their way at once, at most")
	flags.IntVar(&f.locations, "locations", 100, "the `number` of locations that the bookings come from")
	flags.IntVar(&f.rules, "rules", 100, "the `number` of rules; at least one for each location")
	flags.BoolVar(&f.bare, "bare", false, "without --url and --rate, compare with a server that only appends webhooks to a file, durably")
	flags.StringVar(&f.sink, "sink", "", "the `address` where bench takes the deliveries; the rules that --write writes call it")
	flags.StringVar(&f.store, "store", "", "without --url, the `store` of the server: a folder that does not exist, to measure its disk, or the postgres://… of an empty database")
	flags.IntVar(&f.servers, "servers", 1, "with --store postgres://…, the `number` of servers to start on it")
	flags.StringVar(&f.write, "write", "", "write a configuration and the rules for a server into this `folder`, and end")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

// defaultSink is where a server that bench did not start calls it, without --sink.
const defaultSink = "127.0.0.1:8090"

func (p *program) bench(ctx context.Context, f benchFlags) (err error) {
	switch {
	case f.rate < 0 || f.connections < 1 || f.locations < 1 || f.rules < 0 || f.length <= 0:
		return usagef("--rate, --for, --connections, --locations and --rules are numbers above 0; only --rate and --rules can be 0")
	case f.urls != nil && (f.signed || f.store != "" || f.write != "" || f.servers != 1):
		return usagef("--signed, --store, --servers and --write are for servers that bench starts, not for --url")
	case f.bare && (f.urls != nil || f.write != "" || f.rate > 0):
		return usagef("--bare compares how fast a server that bench starts can go, so it fits neither --url, --write nor --rate")
	case f.servers < 1 || f.servers > 1 && !strings.Contains(f.store, "://"):
		return usagef("--servers is a number above 0, and several servers need a --store postgres://… to share")
	case f.urls == nil && f.key != "":
		return usagef("--key is for --url")
	}
	sink := f.sink
	if sink == "" {
		if sink = defaultSink; f.urls == nil && f.write == "" {
			sink = "127.0.0.1:0"
		}
	}
	if f.write != "" {
		return p.writeBench(f, sink)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", sink)
	if err != nil {
		return fmt.Errorf("taking deliveries: %w", err)
	}
	o := bench.Options{Rate: f.rate, For: f.length, Connections: f.connections, Locations: f.locations, Sink: l}
	if !f.json && p.stderr.terminal {
		o.Progress = p.printBenchProgress
	}
	if f.urls == nil {
		stop, err := p.benchServer(ctx, f, &o)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		defer func() { err = errors.Join(err, stop()) }()
	} else if err := p.benchTarget(f, &o); err != nil {
		return errors.Join(err, l.Close())
	}
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if err := p.show(f.json, report, "  ", func() { p.printBench(f, report) }); err != nil {
		return err
	}
	if !report.Good() {
		return errReported
	}
	return nil
}

// benchTarget says how to send to a server that runs already.
func (p *program) benchTarget(f benchFlags, o *bench.Options) error {
	cfg, _, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return err
	}
	for _, url := range f.urls {
		hook, err := hookURL(cfg, url, f.source)
		if err != nil {
			return err
		}
		o.URLs = append(o.URLs, hook)
	}
	verify := cfg.Sources[f.source].Verify
	key, err := privateKey(verify.Scheme, f.key)
	if err == nil {
		o.Sign = signs(verify, key)
		err = o.Sign(http.Header{}, nil)
	}
	if err != nil {
		return fmt.Errorf("signing as %s: %w", f.source, err)
	}
	return nil
}

// signs returns what adds the headers of [sign] to a webhook.
func signs(v config.Verify, key crypto.Signer) func(http.Header, []byte) error {
	return func(h http.Header, body []byte) error {
		signed, err := sign(v, key, body, time.Now())
		maps.Copy(h, signed)
		return err
	}
}

// benchServer starts a server to load, and sets how to send to it. stop ends the server and removes its files.
func (p *program) benchServer(ctx context.Context, f benchFlags, o *bench.Options) (stop func() error, err error) {
	dir, err := os.MkdirTemp("", "bellhop-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	settings := benchSettings("127.0.0.1:0", "127.0.0.1:0", o.Sink.Addr().String())
	switch {
	case strings.Contains(f.store, "://"):
		r, err := store.OpenReader(ctx, f.store, "")
		if err == nil {
			return nil, errors.Join(usagef("--store: there is a store in %s already", store.Redacted(f.store)), r.Close())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		settings["store"] = f.store
	case f.store != "":
		if _, err := os.Stat(f.store); err == nil {
			return nil, usagef("--store: %s exists already", f.store)
		}
		folder, err := filepath.Abs(f.store)
		if err != nil {
			return nil, err
		}
		settings["store"] = folder
		removeAll := remove
		remove = func() error { return errors.Join(removeAll(), os.RemoveAll(folder)) }
	}
	if f.signed {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		verify := config.Verify{Scheme: config.HighLevel, Keys: []string{base64.StdEncoding.EncodeToString(public)}}
		settings["sources"] = map[string]any{config.DefaultSource: map[string]any{"verify": map[string]any{"scheme": verify.Scheme, "keys": verify.Keys}}}
		o.Sign = signs(verify, private)
	}
	if err := writeBenchRules(dir, f); err != nil {
		return nil, err
	}
	cfg, err := p.settle(dir, settings)
	if err != nil {
		return nil, err
	}
	end := func() error { return nil }
	for i := range f.servers {
		node := *cfg
		node.Node = fmt.Sprint("bench", i+1)
		e, _, endOne, err := p.launch(ctx, &node, slog.LevelWarn)
		if err != nil {
			return nil, errors.Join(err, end())
		}
		o.URLs = append(o.URLs, e.HookURL()+"/hooks/"+config.DefaultSource)
		before := end
		end = func() error { return errors.Join(endOne(), before()) }
	}
	if !f.bare {
		return func() error { return errors.Join(end(), remove()) }, nil
	}
	place := cfg.Store // the same disk
	if strings.Contains(place, "://") {
		place = dir
	}
	url, endBare, err := serveBare(ctx, filepath.Join(place, "bare.log"))
	if err != nil {
		return nil, errors.Join(err, end())
	}
	o.Bare = url
	return func() error { return errors.Join(endBare(), end(), remove()) }, nil
}

// serveBare starts a server of package bare, which appends to a new file. stop ends it.
func serveBare(ctx context.Context, path string) (url string, stop func() error, err error) {
	h, err := bare.New(path)
	if err != nil {
		return "", nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, h.Close())
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		err := s.Shutdown(context.WithoutCancel(ctx)) // not Close, because no request can be under way when h is closed
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return errors.Join(err, h.Close())
	}, nil
}

// benchSettings returns the configuration of a server to load.
func benchSettings(listen, admin, sink string) map[string]any {
	host, _, _ := net.SplitHostPort(sink) // it was listened on, or is checked when the configuration is loaded
	return map[string]any{
		"listen": listen, "admin": admin,
		"sources":     map[string]any{config.DefaultSource: map[string]any{"verify": config.None}},
		"connections": map[string]any{"bench": map[string]any{"url": "http://" + sink}},
		"egress":      map[string]any{"allow": []string{host}},
	}
}

func writeBenchRules(dir string, f benchFlags) error {
	for i, data := range bench.Rules(f.locations, f.rules) {
		if _, err := writeNew(filepath.Join(dir, "rules", fmt.Sprintf("bench-%04d.yaml", i+1)), data); err != nil {
			return fmt.Errorf("writing the rules: %w", err)
		}
	}
	return nil
}

// writeBench writes what a server needs that is loaded with --url.
func (p *program) writeBench(f benchFlags, sink string) error {
	host, _, err := net.SplitHostPort(sink)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		return usagef("--sink is the address at which the server reaches bench, with a port, such as %s", defaultSink)
	}
	if err := writeBenchRules(f.write, f); err != nil {
		return err
	}
	defaults := config.Default()
	if _, err := p.settle(f.write, benchSettings(defaults.Listen, defaults.Admin, sink)); err != nil {
		return err
	}
	p.printBenchWritten(f, sink)
	return nil
}
