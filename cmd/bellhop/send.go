package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/engine/config"
	"bellhop/engine/hook"
	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/rules/text"
)

type sendFlags struct {
	config, url, source, key string
	json, new                bool
}

func (p *program) sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send FILE",
		Short: "Post an event file to a running server, as a sender would",
		Long: `Send posts a file with an event's JSON to the server's public address; the file - is standard input.
It signs it as the configuration says that the source does, where it can: with a token or a shared
secret of the configuration, or with the private key that --key names.
With --new it is an appointment and a webhook of their own, so that the same file can be sent as often as you like:
a webhook that repeats an earlier one is a duplicate, and does nothing. An appointment that is over is then moved ahead
by whole weeks.
It exits with 0 once the server has stored the event (or says that it has it already), else with 1.`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.send(cmd.Context(), f, args[0]) },
	}
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "the server's public `address`, if not the configured one")
	flags.StringVar(&f.source, "source", config.DefaultSource, "the `source` to send as")
	flags.StringVar(&f.key, "key", "", "a PEM `file` with the private key to sign with")
	flags.BoolVar(&f.new, "new", false, "give the event an appointment and a webhook of its own")
	flags.BoolVar(&f.json, "json", false, "print the server's JSON")
	return cmd
}

func (p *program) send(ctx context.Context, f sendFlags, file string) error {
	cfg, findings, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return err
	}
	body, err := p.readEvent(file)
	if err != nil {
		return err
	}
	if f.new {
		if body, err = renewed(body); err != nil {
			return fmt.Errorf("reading the event: %w", err)
		}
		later, days := lifted(f.source, body, cfg.Zone, time.Now())
		if body = later; days > 0 && !f.json {
			p.printf("The appointment of %s is over, so this one takes place %d days later.\n", quoted(file), days)
		}
	}
	target, err := hookURL(cfg, f.url, f.source)
	if err != nil {
		return err
	}
	header, err := signature(cfg.Sources[f.source].Verify, f.key, body, time.Now())
	if err != nil {
		return fmt.Errorf("signing as %s: %w", f.source, err)
	}
	poster := &http.Client{Timeout: time.Minute}
	if f.url == "" && cfg.Path == "" {
		poster.Transport = &unnamedServer{p: p, flag: "--url"}
	}
	status, answer, err := post(ctx, poster, target, header, body)
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		if status == http.StatusUnauthorized {
			// A secret that is not set is the likely cause.
			p.printFindings(p.stderr, slices.DeleteFunc(findings, func(f text.Finding) bool { return f.Code != "missing-secret" }))
		}
		return fmt.Errorf("the server at %s answers %s", target, refusal(status, answer))
	}
	var r hook.Receipt
	if err := json.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("the answer of %s is not one of Bellhop's: %w", target, err)
	}
	if f.json {
		return p.writeJSON(json.RawMessage(answer), "  ")
	}
	p.printReceipt(r)
	if r.Status == record.Duplicate {
		p.printf("It repeats a webhook that was stored before, so nothing is done. As an appointment of its own:  %s send --new %s\n", p.name, quoted(file))
	}
	return nil
}

// lifted moves an appointment that is over into the future, because messages are not sent for an appointment that was
// over when it was first seen. It leaves any other event as it is, and returns by how many days it moved.
func lifted(source string, body []byte, zone *time.Location, now time.Time) (_ []byte, days int) {
	ev, err := payload.Normalise(source, body, now, zone)
	if err != nil || !ev.Appointment.EndsBefore(now) || ev.Appointment.StartTime.IsZero() {
		return body, 0
	}
	days = daysAhead(ev.Appointment.StartTime, now)
	return moved(body, days), days
}

// renewed returns an event with a new appointment id and a new webhook id. It knows all shapes of events.
func renewed(body []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var event map[string]any
	if err := dec.Decode(&event); err != nil || event == nil {
		return nil, errors.New("it is not a JSON object")
	}
	id := record.NewID()
	event["webhookId"] = "new-" + id
	level := event
	for _, wrapper := range []string{"data", "body"} {
		if inner, ok := level[wrapper].(map[string]any); ok && level["appointment"] == nil {
			level = inner
		}
	}
	if appointment, ok := level["appointment"].(map[string]any); ok {
		appointment["id"] = "new-" + id
	} else if calendar, ok := level["calendar"].(map[string]any); ok && calendar["appointmentId"] != nil {
		calendar["appointmentId"] = "new-" + id
	} else {
		level["id"] = "new-" + id
	}
	return json.Marshal(event)
}

// post sends a webhook.
func post(ctx context.Context, c *http.Client, target string, header http.Header, body []byte) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("posting the event: %w", err)
	}
	maps.Copy(r.Header, header)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "bellhop-send")
	return exchange(c, r)
}

// readEvent reads an event file. It does not check the content, so that send can show what the server says about it.
func (p *program) readEvent(file string) (body []byte, err error) {
	if file == "-" {
		body, err = io.ReadAll(p.stdin)
	} else {
		body, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	return body, nil
}

// hookURL returns the URL for webhooks of a source. given is an address, a URL, or a URL with a path, which is kept; ""
// means the configured address.
func hookURL(cfg *config.Config, given, source string) (string, error) {
	base, err := baseURL(cmp.Or(given, cfg.Listen))
	if err != nil {
		return "", usagef("--url: %w", err)
	}
	u, _ := url.Parse(base) // it was parsed before
	if strings.Trim(u.Path, "/") == "" {
		u = u.JoinPath("hooks", source)
	}
	return u.String(), nil
}
