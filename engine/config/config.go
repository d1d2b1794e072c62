// Package config reads bellhop.yaml.
//
// The structs define the configuration. Their tags name and describe every key, and [Default] has the values of
// absent keys. The tags:
//
//	json:"name"       the key
//	also:"name"       a second name of the key, for a list that mostly has one item
//	doc:"…"           one sentence that describes the key
//	example:"…"       a value as people write it
//	short:"true"      the key that is set when a text is written in place of the struct
//	like:"…"          a regular expression that the text must match
//	words:"…"         the message of an editor if it does not match
//
// Mistakes are [text.Finding]s, like those in rule files: all of them, each at its place.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones for machines without a zone database

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules"
	"bellhop/rules/text"
)

// FileName is the file that is read from the working directory by default.
const FileName = "bellhop.yaml"

// BodyLimit is the largest body of a webhook, in bytes.
const BodyLimit = 1 << 20

// maxSize is the largest size, in bytes, of a configuration or of a file that it names as ${file:…}.
const maxSize = 1 << 20

// DefaultSource is the source that always exists. It is the default where a source can be named.
const DefaultSource = "hoopai"

var bom = []byte("\uFEFF")

// A Config is the content of bellhop.yaml with all defaults filled in. It does not change once loaded.
type Config struct {
	Listen      string                `json:"listen" like:":[0-9]+$" words:"write host and port, such as 127.0.0.1:8080" doc:"The public address: only /hooks/* and /healthz." example:"127.0.0.1:8080"`
	Admin       string                `json:"admin" like:":[0-9]+$" words:"write host and port, such as 127.0.0.1:8081" doc:"The operators' address: page, API, /metrics and /readyz." example:"127.0.0.1:8081"`
	AdminToken  string                `json:"admin_token" doc:"The token that the operators' address asks for; required beyond this machine." example:"${ADMIN_TOKEN}"`
	Rules       string                `json:"rules" doc:"The folder of rule files." example:"./rules"`
	Directory   string                `json:"directory" doc:"The folder of files about people, calendars and locations; it may be missing." example:"./directory"`
	Locations   string                `json:"locations" doc:"The folder of files about locations with connections of their own; it may be missing." example:"./locations"`
	Store       string                `json:"store" doc:"A folder, or the address of a PostgreSQL database." example:"./data"`
	Node        string                `json:"node" doc:"The name of this server among those that share a PostgreSQL database. By default, its host and its folder of rules." example:"desk-1"`
	Timezone    string                `json:"timezone" doc:"Where times without an offset are read." example:"Europe/London"`
	Language    string                `json:"language" doc:"The language of names of days and months in messages, such as de, fr or pt-BR; a location or a rule can have its own." example:"de"`
	Retention   time.Duration         `json:"retention" doc:"How long events and deliveries are kept, and repeated webhooks recognised." example:"30d"`
	Sources     map[string]Source     `json:"sources" doc:"Who may send webhooks: each name is a path under /hooks/."`
	Connections map[string]Connection `json:"connections" doc:"Where actions send to, and with which credentials."`
	People      *People               `json:"people" doc:"How contacts, colleagues, calendars and locations are looked up whom neither a webhook nor the directory describes." example:"{connection: platform, preset: highlevel}"`
	Hours       map[string]Hours      `json:"hours" doc:"Hours that rules can name: when something may be sent." example:"{desk: {open: \"Mon-Fri 09:00-18:00\", closed: [2026-12-25]}}"`
	Egress      Egress                `json:"egress" doc:"What actions may connect to."`
	Delivery    Delivery              `json:"delivery" doc:"How deliveries are attempted."`
	Intake      Intake                `json:"intake" doc:"How webhooks are taken in."`

	Zone *time.Location `json:"-"` // of Timezone
	Path string         `json:"-"` // of the file, "" if there was none

	env     Env                     // with which the files of locations are read
	hours   map[string]*rules.Hours // of Hours
	secrets []string                // the values of ${…}
}

// A Source is one sender of webhooks.
type Source struct {
	Verify    Verify            `json:"verify" doc:"How its webhooks are known to be genuine." example:"highlevel"`
	Statuses  map[string]string `json:"statuses" doc:"What words mean that this source has for statuses, beside those of the platform." example:"{cancelado: cancelled}"`
	Locations []string          `json:"locations" doc:"The locations whose events are taken; without it, all." example:"[0007BWpSzSwfiuSl0tR2]"`
}

// Verify says how a source's webhooks are verified. If there are several keys, secrets or tokens, it is enough that
// one matches, so that they can be replaced without losing webhooks.
type Verify struct {
	Scheme  string   `json:"scheme" short:"true" doc:"highlevel, ed25519, rsa-sha256, hmac-sha256, standard-webhooks, token or none." example:"highlevel"`
	Header  string   `json:"header" doc:"The header with the signature or the token, if not the scheme's usual one." example:"X-Signature"`
	Keys    []string `json:"keys" also:"key" doc:"Public keys, as PEM or base64: for ed25519 and rsa-sha256, and instead of the built-in one for highlevel."`
	Secrets []string `json:"secrets" also:"secret" doc:"Shared secrets: for hmac-sha256 and standard-webhooks." example:"${WEBHOOK_SECRET}"`
	Tokens  []string `json:"tokens" also:"token" doc:"The tokens that the header may hold; with them the scheme is token." example:"${WORKFLOW_TOKEN}"`
}

// The schemes of [Verify].
const (
	HighLevel        = "highlevel"
	Ed25519          = "ed25519"
	RSASHA256        = "rsa-sha256"
	HMACSHA256       = "hmac-sha256"
	StandardWebhooks = "standard-webhooks"
	Token            = "token"
	None             = "none"
)

// schemes are the schemes of [Verify], each with the key that it takes.
var schemes = []struct{ name, takes string }{
	{HighLevel, "keys"}, {Ed25519, "keys"}, {RSASHA256, "keys"}, {HMACSHA256, "secrets"}, {StandardWebhooks, "secrets"}, {Token, "tokens"}, {None, ""},
}

// Schemes returns the possible values of Verify.Scheme.
func Schemes() (names []string) {
	for _, s := range schemes {
		names = append(names, s.name)
	}
	return names
}

// A Connection is one entry of `connections:`. Its keys say which kind of action it is for.
type Connection struct {
	Kind string // the kind's name, such as "email"
	actions.Connection
}

// People says how people and places are looked up.
type People struct {
	Connection string              `json:"connection" doc:"The http connection of the platform's API." example:"platform"`
	Preset     string              `json:"preset" doc:"Which API it is: highlevel." example:"highlevel"`
	Keep       time.Duration       `json:"keep" doc:"How long an answer is used before it is asked for again; an hour if not given." example:"1h"`
	Stale      time.Duration       `json:"stale" doc:"Up to which age an answer is used while the API does not answer; without it, none is." example:"24h"`
	Tokens     map[string][]string `json:"tokens" doc:"The private tokens of locations, by their ids; of several, the one that works is used. The others use the connection's." example:"{0007BWpSzSwfiuSl0tR2: \"${HARBOUR_TOKEN}\"}"`
	App        *App                `json:"app" doc:"An agency's app, whose token is exchanged for one of each location." example:"{client_id: \"${APP_ID}\", client_secret: \"${APP_SECRET}\", company: ve9EPM428h8vShlRW1KT, refresh_token: \"${APP_REFRESH_TOKEN}\"}"`
}

// highLevelAPI is the preset of [People], and its API's address.
const (
	highLevelAPI = "highlevel"
	highLevelURL = "https://services.leadconnectorhq.com"
)

// An App is an agency's app on the platform.
type App struct {
	ClientID     string `json:"client_id" doc:"The app's client id." example:"${APP_ID}"`
	ClientSecret string `json:"client_secret" doc:"The app's client secret." example:"${APP_SECRET}"`
	Company      string `json:"company" doc:"The agency's id." example:"ve9EPM428h8vShlRW1KT"`
	RefreshToken string `json:"refresh_token" doc:"The refresh token that the platform gave when the app was installed; later ones are kept in the store." example:"${APP_REFRESH_TOKEN}"`
	Version      string `json:"version" doc:"v3 for the version of the API with that name; without it, the one before." example:"v3"`
}

// Hours are the days and times at which something may be sent.
type Hours struct {
	Open   string   `json:"open" short:"true" doc:"The days and times, such as Mon-Fri 09:00-18:00, Sat 10:00-14:00." example:"Mon-Fri 09:00-18:00"`
	Closed []string `json:"closed" doc:"Days on which they are closed: 2026-12-25, or 12-25 for every year." example:"[2026-12-25]"`
}

// Egress says what actions can connect to.
type Egress struct {
	Allow []string `json:"allow" doc:"Private, loopback, link-local and metadata addresses that actions may connect to: networks, addresses or host names." example:"[10.0.0.0/8]"`
}

// Delivery says how deliveries are attempted.
type Delivery struct {
	Attempts       int           `json:"attempts" doc:"Attempts after which a delivery is given up." example:"100"`
	MaxAge         time.Duration `json:"max_age" doc:"Age at which a delivery is given up." example:"3d"`
	Concurrency    int           `json:"concurrency" doc:"Deliveries held in memory at the same time: those being attempted, and those that wait for their destination." example:"2000"`
	PerDestination int           `json:"per_destination" doc:"Attempts at the same time to one destination." example:"16"`
	Brake          int           `json:"brake" doc:"Messages of one rule at one location in an hour. What is over is held until an operator releases or cancels it. 0 is no brake." example:"1000"`
	Shutdown       time.Duration `json:"shutdown" doc:"How long running attempts may take to finish when the server stops." example:"5s"`
}

// Intake limits how webhooks are received.
type Intake struct {
	MaxConcurrent int `json:"max_concurrent" doc:"Webhooks that are stored or wait for it at the same time; more are asked to come again." example:"256"`
	PerAddress    int `json:"per_address" doc:"Connections at the same time from one address; with more, the slowest give way. Raise it behind a proxy." example:"512"`
}

// Default returns the configuration that is used without a file. It lacks the source hoopai, which [Load] adds because
// it depends on where the server listens.
func Default() *Config {
	return &Config{
		Listen:      "127.0.0.1:8080",
		Admin:       "127.0.0.1:8081",
		Rules:       "rules",
		Directory:   "directory",
		Locations:   "locations",
		Store:       "data",
		Timezone:    "UTC",
		Retention:   30 * 24 * time.Hour,
		Sources:     map[string]Source{},
		Connections: map[string]Connection{},
		Delivery: Delivery{
			Attempts: 100, MaxAge: 3 * 24 * time.Hour, Concurrency: 2000, PerDestination: 16, Brake: 1000, Shutdown: 5 * time.Second,
		},
		Intake: Intake{MaxConcurrent: 256, PerAddress: 512},
		Zone:   time.UTC,
	}
}

// Env is what a configuration is loaded with. The zero value works.
type Env struct {
	// Lookup finds environment variables; nil is os.LookupEnv.
	Lookup func(name string) (string, bool)

	// Lenient makes a secret that is not set a warning instead of an error. A placeholder is used for it, and
	// values that contain it are not checked.
	Lenient bool

	// Override changes the configuration before it is checked. Flags use it to take precedence over the file.
	Override func(*Config)

	// CheckVerify finds mistakes in the keys of a verification. nil means that keys are not checked.
	CheckVerify func(Verify) error

	// ReadFile reads the configuration file; nil reads it from the disk. An editor uses it for unsaved text.
	ReadFile func(path string) ([]byte, error)
}

// Load reads the file at path, or returns the defaults if path is "". It returns an error only if the file cannot be
// read. Otherwise the configuration is not nil and has everything that could be read, so that a check can go on
// with it. A server must not start with it if a finding is an error.
//
// The source hoopai is there unless the file has its own: verified as highlevel, or, without a file and
// listening on loopback, not at all. ${NAME} and ${file:path} in values are replaced after parsing, so they
// may hold anything; in the user and password of a URL they are escaped for it. $${ is a literal ${. Relative
// paths are relative to the file.
func Load(path string, env Env) (*Config, []text.Finding, error) {
	if env.Lookup == nil {
		env.Lookup = os.LookupEnv
	}
	cfg := Default()
	cfg.env = env
	d := &decoder{
		env: env, cfg: cfg, dir: filepath.Dir(path),
		doc: text.New(path, "configuration", nil, nil), places: map[string]*yaml.Node{}, written: map[*yaml.Node]string{}, unresolved: map[*yaml.Node]bool{},
	}
	if path != "" {
		read := readFile
		if env.ReadFile != nil {
			read = env.ReadFile
		}
		data, err := read(path)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the configuration: %w", err)
		}
		cfg.Path = path
		d.decodeFile(data)
		cfg.Rules, cfg.Directory, cfg.Locations = d.relative(cfg.Rules), d.relative(cfg.Directory), d.relative(cfg.Locations)
		if !strings.Contains(cfg.Store, "://") {
			cfg.Store = d.relative(cfg.Store)
		}
	}
	if env.Override != nil {
		env.Override(cfg)
	}
	if _, ok := cfg.Sources[DefaultSource]; !ok {
		scheme := HighLevel
		if path == "" && actions.Loopback(cfg.Listen) {
			scheme = None
		}
		cfg.Sources[DefaultSource] = Source{Verify: Verify{Scheme: scheme}}
	}
	d.check()
	if path != "" && env.ReadFile == nil {
		d.readable(path)
	}
	redactor, findings := actions.NewRedactor(cfg.Secrets()), d.doc.Findings()
	for i, f := range findings {
		findings[i].Message, findings[i].Suggestion = redactor.Redact(f.Message), redactor.Redact(f.Suggestion)
	}
	return cfg, findings, nil
}

// Nearest returns the configuration in a folder or in the nearest folder above it, up to so many levels above. It
// returns "" if there is none.
func Nearest(dir string, levels int) string {
	for ; levels >= 0; levels-- {
		path := filepath.Join(dir, FileName)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
		above := filepath.Join(dir, "..")
		if above == dir {
			break
		}
		dir = above
	}
	return ""
}

// readFile reads a file of at most maxSize.
func readFile(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(f, maxSize+1)); err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return bytes.TrimPrefix(data, bom), nil
}

// Secrets returns the texts that must never appear in a log, an error, a receipt or an answer.
func (c *Config) Secrets() []string {
	secrets := append(slices.Clone(c.secrets), c.credentials()...)
	slices.Sort(secrets)
	secrets = slices.Compact(secrets)
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}

// credentials returns the secrets that are the value of a key for a secret, such as a token.
func (c *Config) credentials() []string {
	secrets := []string{c.AdminToken}
	if u, err := url.Parse(c.Store); err == nil {
		password, _ := u.User.Password()
		secrets = append(secrets, password)
	}
	for _, s := range c.Sources {
		secrets = append(append(secrets, s.Verify.Secrets...), s.Verify.Tokens...)
	}
	for _, conn := range c.Connections {
		secrets = append(secrets, conn.Secrets()...)
	}
	if p := c.People; p != nil {
		for _, tokens := range p.Tokens {
			secrets = append(secrets, tokens...)
		}
		if p.App != nil {
			secrets = append(secrets, p.App.ClientSecret, p.App.RefreshToken)
		}
	}
	return secrets
}

// NodeName returns the name of this server among those that share a database.
func (c *Config) NodeName() string {
	if c.Node != "" {
		return c.Node
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	folder, err := filepath.Abs(c.Rules)
	if err != nil {
		folder = c.Rules
	}
	return host + ":" + filepath.ToSlash(folder)
}

// Folders returns the folders that are read together with the rules: of people and of locations. They may be missing.
func (c *Config) Folders() []string { return []string{c.Directory, c.Locations} }

// RuleOptions are what rule files are compiled against under this configuration.
func (c *Config) RuleOptions() rules.Options {
	kinds := make(map[string]string, len(c.Connections))
	for name, conn := range c.Connections {
		kinds[name] = conn.Kind
	}
	return rules.Options{Connections: kinds, Zone: c.Zone, Language: c.Language, Hours: c.hours, LocationFile: c.locationFile}
}
