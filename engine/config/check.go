package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`) // a path segment

// check reports what is wrong with the values, each alone and in combination.
func (d *decoder) check() {
	c := d.cfg
	d.address("listen", c.Listen)
	reachable := d.address("admin", c.Admin) && !actions.Loopback(c.Admin)
	if c.Listen == c.Admin && !strings.HasSuffix(c.Listen, ":0") {
		d.bad("admin", "admin must be a different address from listen, so that public and private stay apart")
	}
	if c.AdminToken == "" && reachable && !d.skip("admin") && !d.skip("admin_token") {
		d.find("admin", "admin-token", "admin_token is missing: %s can be reached from other machines", d.as("admin", c.Admin))
	}
	if c.Rules == "" {
		d.bad("rules", "rules must name a folder")
	}
	if c.Directory == "" {
		d.bad("directory", "directory must name a folder; it may be missing")
	}
	if c.Locations == "" {
		d.bad("locations", "locations must name a folder; it may be missing")
	}
	switch scheme, _, isURL := strings.Cut(c.Store, "://"); {
	case c.Store == "":
		d.bad("store", "store must name a folder")
	case isURL && scheme != "postgres" && scheme != "postgresql":
		d.bad("store", "store must be a folder, or an address that begins with postgres://")
	case isURL:
		if _, err := url.Parse(c.Store); err != nil && !d.skip("store") {
			d.bad("store", "store is not an address that can be read; a password in it must have %%40 for @, %%2F for /, %%3A for : and %%25 for %%")
		}
	}
	d.zone()
	d.language()
	for _, v := range []struct {
		path string
		ok   bool
	}{
		{"retention", c.Retention > 0},
		{"delivery.attempts", c.Delivery.Attempts > 0},
		{"delivery.max_age", c.Delivery.MaxAge > 0},
		{"delivery.concurrency", c.Delivery.Concurrency > 0},
		{"delivery.per_destination", c.Delivery.PerDestination > 0},
		{"intake.max_concurrent", c.Intake.MaxConcurrent > 0},
		{"intake.per_address", c.Intake.PerAddress > 0},
	} {
		if !v.ok {
			d.bad(v.path, "%s must be greater than zero", v.path)
		}
	}
	if c.Delivery.Shutdown < 0 {
		d.bad("delivery.shutdown", "delivery.shutdown must not be negative")
	}
	if c.Delivery.Brake < 0 {
		d.bad("delivery.brake", "delivery.brake must not be negative; 0 is no brake")
	}
	for _, name := range text.SortedKeys(c.Sources) {
		d.checkSource(name, c.Sources[name])
	}
	if c.People != nil {
		d.people(c.People)
	}
	for _, name := range text.SortedKeys(c.Hours) {
		if h := d.hours(name, c.Hours[name]); h != nil {
			if c.hours == nil {
				c.hours = map[string]*rules.Hours{}
			}
			c.hours[name] = h
		}
	}
	for i, allowed := range c.Egress.Allow {
		if strings.TrimSpace(allowed) == "" {
			d.bad(fmt.Sprintf("egress.allow[%d]", i), "egress.allow has an empty entry")
		} else if _, err := actions.NewGuard(actions.GuardOptions{Allow: []string{allowed}}); err != nil {
			d.bad(fmt.Sprintf("egress.allow[%d]", i), "%s", err)
		}
	}
}

// people checks how people are looked up, and fills in what is usual.
func (d *decoder) people(p *People) {
	switch conn, ok := d.cfg.Connections[p.Connection]; {
	case p.Connection == "":
		d.find("people", "missing-key", "people needs a connection: the http connection of the platform's API, such as %s", highLevelURL)
	case !ok:
		suggestion := text.Closest(p.Connection, text.SortedKeys(d.cfg.Connections))
		d.report(d.place("people.connection"), text.Error, "unknown-connection", fmt.Sprintf("there is no connection %q%s", p.Connection, text.DidYouMean(suggestion)), suggestion)
	case conn.Kind != "http":
		d.find("people.connection", "wrong-kind", "the connection %s is for %s; people needs one for http, with the url of the platform's API", p.Connection, conn.Kind)
	}
	if p.Preset == "" {
		p.Preset = highLevelAPI
	}
	if p.Preset != highLevelAPI && !d.skip("people.preset") {
		d.report(d.place("people.preset"), text.Error, "bad-value", fmt.Sprintf("%q is no API that is known; there is %s", p.Preset, highLevelAPI), highLevelAPI)
	}
	if d.places["people.keep"] == nil {
		p.Keep = time.Hour
	}
	if p.Keep <= 0 {
		d.bad("people.keep", "people.keep must be greater than zero")
	}
	if p.Stale < 0 || p.Stale > 0 && p.Stale < p.Keep {
		d.bad("people.stale", "people.stale is the greatest age of an answer, so it must be longer than keep, which is %s", actions.Duration(p.Keep))
	}
	for _, location := range text.SortedKeys(p.Tokens) {
		if at := "people.tokens." + location; len(p.Tokens[location]) == 0 || slices.ContainsFunc(p.Tokens[location], func(s string) bool { return strings.TrimSpace(s) == "" }) {
			d.bad(at, "the token of %s is empty", location)
		}
	}
	if a := p.App; a != nil {
		for _, key := range []struct{ name, value string }{{"client_id", a.ClientID}, {"client_secret", a.ClientSecret}, {"company", a.Company}, {"refresh_token", a.RefreshToken}} {
			if key.value == "" && !d.skip("people.app."+key.name) {
				d.find("people.app", "missing-key", "people.app needs a %s", key.name)
			}
		}
		if a.Version != "" && a.Version != "v3" {
			d.bad("people.app.version", "people.app.version is v3, or left out")
		}
	}
}

// hours reads hours that rules can name. It returns nil if they have mistakes.
func (d *decoder) hours(name string, h Hours) *rules.Hours {
	at := "hours." + name
	if _, _, err := rules.ParseHours("", name, nil); err == nil {
		d.bad(at, "%q is itself hours; give these a name, such as desk", name)
		return nil
	}
	if h.Open == "" {
		d.find(at, "missing-key", "%s does not say when they are open, such as Mon-Fri 09:00-18:00", at)
		return nil
	}
	var closed lang.Days
	good := true
	for i, day := range h.Closed {
		more, suggestion, err := closed.With(day)
		if err != nil {
			d.report(d.place(fmt.Sprintf("%s.closed[%d]", at, i)), text.Error, "closed", err.Error(), suggestion)
			good = false
			continue
		}
		closed = more
	}
	out, suggestion, err := rules.ParseHours(name, h.Open, closed)
	if err != nil {
		d.report(d.place(at+".open"), text.Error, "hours", err.Error(), suggestion)
		return nil
	}
	if !good {
		return nil
	}
	return out
}

func (d *decoder) zone() {
	c := d.cfg
	// "Local" would make the result depend on the machine.
	zone, err := time.LoadLocation(c.Timezone)
	if c.Timezone == "" || strings.EqualFold(c.Timezone, "local") || err != nil {
		d.bad("timezone", "timezone must be the name of a time zone, such as Europe/London; %q is not one", d.as("timezone", c.Timezone))
		return
	}
	c.Zone = zone
	if place, why := lang.NoSummer(c.Timezone); why != "" {
		d.report(d.places["timezone"], text.Warning, "time-zone", why, place)
	}
}

func (d *decoder) language() {
	if c := d.cfg; c.Language != "" && !lang.KnownLanguage(c.Language) {
		message, suggestion := lang.NoLanguage(d.as("language", c.Language))
		d.report(d.place("language"), text.Error, "bad-value", message, suggestion)
	}
}

// checkSource checks one source, and sets its scheme if the file does not say one.
func (d *decoder) checkSource(name string, s Source) {
	path := "sources." + name
	if !sourceName.MatchString(name) {
		d.bad(path, "a source's name is part of its address: letters, digits, '-', '_' and '.', not %q", name)
	}
	if node := d.places[path+".locations"]; node != nil && len(s.Locations) == 0 && !text.IsNull(node) {
		d.bad(path+".locations", "locations is empty, which would take no event at all; leave it out to take all")
	}
	if slices.Contains(s.Locations, "") {
		d.bad(path+".locations", "locations has an empty entry")
	}
	for _, word := range text.SortedKeys(s.Statuses) {
		if meant := s.Statuses[word]; !slices.Contains(rules.Statuses(), meant) {
			d.report(d.places[path+".statuses."+word], text.Error, "bad-value",
				fmt.Sprintf("%q is not a status; the statuses are %s", meant, strings.Join(rules.Statuses(), ", ")), text.Closest(meant, rules.Statuses()))
		}
	}
	v := &s.Verify
	at := path + ".verify"
	switch {
	case v.Scheme != "":
	case len(v.Tokens) > 0 && len(v.Keys)+len(v.Secrets) == 0:
		v.Scheme = Token
	case name == DefaultSource && len(v.Tokens)+len(v.Secrets) == 0:
		v.Scheme = HighLevel
	case d.places[at] != nil && !text.IsNull(d.places[at]):
		d.bad(at, "%s needs a scheme: one of %s", at, strings.Join(Schemes(), ", "))
		return
	default:
		d.bad(path, "%s does not say how its webhooks are verified: verify is one of %s", path, strings.Join(Schemes(), ", "))
		return
	}
	d.cfg.Sources[name] = s
	d.verify(at, *v)
}

// verify checks one verification.
func (d *decoder) verify(at string, v Verify) {
	before := d.doc.Errors()
	schemeAt := at
	if d.places[at+".scheme"] != nil {
		schemeAt = at + ".scheme"
	}
	i := slices.Index(Schemes(), v.Scheme)
	if i < 0 {
		suggestion := text.Closest(v.Scheme, Schemes())
		d.report(d.places[schemeAt], text.Error, "bad-value", fmt.Sprintf("%q is not a verification scheme: it is one of %s", v.Scheme, strings.Join(Schemes(), ", ")), suggestion)
		return
	}
	takes := schemes[i].takes
	for _, have := range []struct {
		key    string
		values []string
	}{{"keys", v.Keys}, {"secrets", v.Secrets}, {"tokens", v.Tokens}} {
		switch {
		case have.key != takes && len(have.values) > 0:
			d.bad(at+"."+have.key, "%s does nothing with the scheme %s", have.key, v.Scheme)
		case have.key == takes && len(have.values) == 0 && v.Scheme != HighLevel:
			d.bad(at, "the scheme %s needs %s", v.Scheme, takes)
		case have.key == takes && slices.ContainsFunc(have.values, func(s string) bool { return strings.TrimSpace(s) == "" }):
			d.bad(at+"."+have.key, "%s has an empty entry, which anybody could guess", have.key)
		}
	}
	switch {
	case v.Header == "":
	case v.Scheme == None || v.Scheme == StandardWebhooks:
		d.bad(at+".header", "header does nothing with the scheme %s", v.Scheme)
	case !httpguts.ValidHeaderFieldName(v.Header):
		d.bad(at+".header", "header must be the name of a header, such as X-Signature")
	}
	if v.Scheme == None && !actions.Loopback(d.cfg.Listen) && !d.skip("listen") {
		d.find(schemeAt, "verify-none", "verify: none is refused because %s can be reached from other machines: anybody could send bookings", d.as("listen", d.cfg.Listen))
	}
	if d.env.CheckVerify == nil || d.doc.Errors() > before || d.skip(at) {
		return
	}
	if err := d.env.CheckVerify(v); err != nil {
		d.bad(at, "%s: %v", at, err)
	}
}

// address checks a host:port to listen on, reports it if it is wrong, and says whether it is right.
func (d *decoder) address(path, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && strings.ContainsAny(host, " /") {
		err = fmt.Errorf("%q is not a host", host)
	}
	if err != nil {
		d.bad(path, "%s must be host:port, such as 127.0.0.1:8080; %q is not", path, d.as(path, address))
	}
	return err == nil
}

// bad reports a value that cannot be used, unless it is one whose ${…} could not be replaced.
func (d *decoder) bad(path, format string, args ...any) { d.find(path, "bad-value", format, args...) }

func (d *decoder) find(path, code, format string, args ...any) {
	if !d.skip(path) {
		d.errorf(d.place(path), code, format, args...)
	}
}

// skip says whether the value at path has a ${…} that could not be replaced. Such a value is not checked.
func (d *decoder) skip(path string) bool {
	n := d.places[path]
	return n != nil && d.anyUnresolved(n)
}

// place returns the node at path, or the nearest node around it. It returns nil if there is none.
func (d *decoder) place(path string) *yaml.Node {
	for path != "" {
		if n := d.places[path]; n != nil {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return nil
}

// as returns the value at path as it was written, with ${…} not replaced.
func (d *decoder) as(path, value string) string {
	if written, ok := d.written[d.places[path]]; ok {
		return written
	}
	return value
}
