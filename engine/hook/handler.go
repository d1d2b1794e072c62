package hook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"bellhop/engine/config"
	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/engine/verify"
)

const (
	// answerWithin limits how long a request waits for memory, and how long for the store. Booking platforms give
	// up after five seconds, and some do not retry then. After a 429 in time, all of them retry.
	answerWithin = 4500 * time.Millisecond

	// retryAfter is the Retry-After of a 429, in seconds.
	retryAfter = 5

	// smallBody is the largest body, in bytes, that needs no share of bodyBytes. Nearly every webhook is smaller, and
	// the number of connections limits their memory.
	smallBody = 16 << 10

	// bodyBytes is how much memory larger bodies can take until they are answered. The events made of them take
	// several times as much.
	bodyBytes = 16 << 20

	// share is how many more webhooks one location can have at the store than all the others have. Webhooks that are
	// stored at the same time share one transaction, which takes longer the more there are. With 4, another location's
	// webhook waits little longer than for the disk.
	share = 4

	// logEvery is the shortest time between two log entries of a [limitedLog].
	logEvery = 10 * time.Second
)

// Options are what a handler needs. Receiver is required; the rest can be zero.
type Options struct {
	Sources       map[string]config.Source
	Receiver      Receiver
	MaxConcurrent int              // most webhooks that are stored or wait for it at the same time; 0 is 256
	Connections   int              // most connections at the same time; 0 is 4096
	PerAddress    int              // most connections at the same time from one address; 0 is 512
	Zone          *time.Location   // for times without an offset; nil is UTC
	Now           func() time.Time // nil is time.Now
	Logger        *slog.Logger     // nil logs nothing
	Observe       func(Observation)
}

// An Observation describes one answered request to /hooks/, for metrics.
type Observation struct {
	Source string        // "" if there is none of that name
	Code   int           // the HTTP status
	Status record.Status // what became of the event, if it was stored
	Took   time.Duration
}

// A Handler serves POST /hooks/{source} and GET /healthz.
type Handler struct {
	o       Options
	sources atomic.Pointer[Sources]
	gate    *gate
	crowd   *crowd
	refused limitedLog // requests that are not genuine or not allowed
	busy    limitedLog
}

// Sources are who can send webhooks, ready to be verified. They are immutable.
type Sources struct {
	all       map[string]*source
	normalise payload.Normaliser
}

type source struct {
	name      string
	verifier  verify.Verifier
	locations []string
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler. It returns an error, which names the source, if the keys of a source cannot be used.
func New(o Options) (*Handler, error) {
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, 256)
	o.Connections = cmp.Or(o.Connections, 4096)
	o.PerAddress = cmp.Or(o.PerAddress, 512)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	sources, err := NewSources(o.Sources, o.Zone)
	if err != nil {
		return nil, err
	}
	h := &Handler{o: o, gate: newGate(o.MaxConcurrent, share, o.Now), crowd: newCrowd(o.Connections, o.PerAddress, bodyBytes)}
	h.sources.Store(sources)
	return h, nil
}

// NewSources prepares configured sources. zone is for times without an offset; nil is UTC. An error names the source whose keys
// cannot be used.
func NewSources(configured map[string]config.Source, zone *time.Location) (*Sources, error) {
	s := &Sources{all: map[string]*source{}, normalise: payload.Normaliser{Zone: zone, Statuses: statuses(configured)}}
	for name, c := range configured {
		v, err := verify.New(c.Verify)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", name, err)
		}
		s.all[name] = &source{name: name, verifier: v, locations: c.Locations}
	}
	return s, nil
}

// SetSources takes the webhooks that come from now on from other sources. It can be called while requests are served.
func (h *Handler) SetSources(s *Sources) { h.sources.Store(s) }

// statuses returns the status words of each source, folded by [payload.Fold].
func statuses(sources map[string]config.Source) map[string]map[string]string {
	all := make(map[string]map[string]string, len(sources))
	for name, s := range sources {
		words := make(map[string]string, len(s.Statuses))
		for word, meant := range s.Statuses {
			words[payload.Fold(word)] = meant
		}
		all[name] = words
	}
	return all
}

// Server returns an HTTP server for the handler, with the limits that a public server needs. The caller starts it on
// a listener and shuts it down. If logger is nil, nothing is logged.
func Server(h *Handler, logger *slog.Logger) *http.Server {
	logger = cmp.Or(logger, slog.New(slog.DiscardHandler))
	return &http.Server{
		Handler:           h,
		ConnContext:       h.crowd.arrive,
		ConnState:         h.crowd.changed,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // of the whole request
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // strangers' broken connections
	}
}

// ServeHTTP answers as the package comment says.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		if !allow(w, r, http.MethodGet, http.MethodHead) {
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/hooks/")
	if !ok {
		refuse(w, http.StatusNotFound, "there is nothing here; webhooks go to /hooks/ and the name of their source")
		return
	}
	started := h.o.Now()
	seen := Observation{}
	sources := h.sources.Load()
	s := sources.all[name]
	if s != nil {
		seen.Source = name
	}
	seen.Code, seen.Status = h.serve(w, r, sources, s)
	if h.o.Observe != nil {
		seen.Took = h.o.Now().Sub(started)
		h.o.Observe(seen)
	}
}

// serve answers one webhook and says how.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, sources *Sources, s *source) (int, record.Status) {
	if s == nil {
		return refuse(w, http.StatusNotFound, "there is no source of this name"), ""
	}
	if !allow(w, r, http.MethodPost) {
		return http.StatusMethodNotAllowed, ""
	}
	g := guestOf(r)
	defer h.crowd.answered(g)
	body, code, why := h.readBody(w, r, g)
	switch code {
	case 0:
	case http.StatusTooManyRequests:
		h.busy.log(r.Context(), h.o, "too many webhooks at once", slog.String("source", s.name))
		return later(w, why), ""
	default:
		return refuse(w, code, why), ""
	}
	h.crowd.sent(g)
	now := h.o.Now().UTC() // UTC, so that what rules print does not depend on the machine's zone
	if err := s.verifier.Verify(r.Header, body, now); err != nil {
		h.refused.log(r.Context(), h.o, "webhook refused", slog.String("source", s.name), slog.String("from", r.RemoteAddr), slog.Any("error", err))
		return refuse(w, http.StatusUnauthorized, err.Error()), ""
	}
	ev, err := sources.normalise.Event(s.name, body, now)
	if err != nil {
		h.refused.log(r.Context(), h.o, "webhook refused", slog.String("source", s.name), slog.Any("error", err))
		return refuse(w, http.StatusBadRequest, err.Error()), ""
	}
	if len(s.locations) > 0 && !slices.Contains(s.locations, ev.LocationID) {
		h.refused.log(r.Context(), h.o, "webhook refused", slog.String("source", s.name), slog.String("location", short(ev.LocationID)),
			slog.String("error", "its location is not one of the source's locations"))
		return refuse(w, http.StatusForbidden, "this location is not allowed here"), ""
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	// Only genuine webhooks take a place, so that strangers cannot use them up.
	if err := h.gate.enter(ctx, ev.LocationID); err != nil {
		if !errors.Is(r.Context().Err(), context.Canceled) { // else the sender has gone
			h.busy.log(r.Context(), h.o, "too many webhooks at once", slog.String("source", s.name))
		}
		return later(w, tooMany), ""
	}
	defer h.gate.leave(ev.LocationID)
	receipt, err := h.o.Receiver.Receive(ctx, ev)
	if err != nil {
		// After every failure to store, a retry is useful, and 429 is the status that all senders retry.
		if !errors.Is(r.Context().Err(), context.Canceled) { // else the sender has gone
			h.busy.log(r.Context(), h.o, "webhook could not be stored", slog.String("source", s.name), slog.Any("error", err))
		}
		return later(w, "the event cannot be stored now; send it again later"), ""
	}
	return answer(w, http.StatusAccepted, receipt), receipt.Status
}

const tooMany = "too many webhooks at once; send it again later"

// readBody reads a body of at most [config.BodyLimit] bytes for g. If that fails, code is the status to refuse with, and
// why is the sentence. Otherwise code is 0.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, g *guest) (body []byte, code int, why string) {
	const tooLarge = "the body is larger than 1 MiB"
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, http.StatusBadRequest, "the body is compressed, which is not supported; send it as it is"
	}
	if r.ContentLength > config.BodyLimit {
		return nil, http.StatusRequestEntityTooLarge, tooLarge
	}
	reader := http.MaxBytesReader(w, r.Body, config.BodyLimit)
	// The buffer grows with the bytes that were received, because a Content-Length is only a claim. It has room for
	// one byte more than claimed, so that the end is seen without growing the buffer.
	most := r.ContentLength + 1
	if r.ContentLength < 0 {
		most = config.BodyLimit + 1
	}
	counted := false
	for size := min(2048, most); ; size = min(4*size, most) {
		if size > smallBody && !counted {
			counted = true
			waiting, stop := context.WithTimeout(r.Context(), answerWithin)
			err := h.crowd.hold(waiting, g, most)
			stop()
			switch {
			case errors.Is(err, net.ErrClosed):
				return nil, http.StatusRequestTimeout, "the body took too long"
			case err != nil:
				return nil, http.StatusTooManyRequests, tooMany
			}
		}
		body = append(make([]byte, 0, size), body...)
		for len(body) < cap(body) {
			n, err := reader.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			switch {
			case errors.Is(err, io.EOF):
				return body, 0, ""
			case err != nil:
				if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
					return nil, http.StatusRequestEntityTooLarge, tooLarge
				}
				return nil, http.StatusBadRequest, "the body arrived incomplete"
			}
		}
	}
}

// allow says whether the request's method is one of methods. If not, it answers 405.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	refuse(w, http.StatusMethodNotAllowed, "this takes "+strings.Join(methods, " or ")+" only")
	return false
}

// later answers 429.
func later(w http.ResponseWriter, sentence string) int {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	return refuse(w, http.StatusTooManyRequests, sentence)
}

// refuse answers with an error: one sentence for the sender.
func refuse(w http.ResponseWriter, code int, sentence string) int {
	return answer(w, code, struct {
		Error string `json:"error"`
	}{sentence})
}

func answer(w http.ResponseWriter, code int, v any) int {
	data, _ := json.Marshal(v) // all answers are structs of texts
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n')) // an error means that the sender is gone
	return code
}

// short returns s, shortened to about 100 bytes for the log.
func short(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// A limitedLog logs at most one warning in logEvery. The warning says how many were suppressed since the last one. The
// limit is needed because anybody can cause these warnings, thousands of times a second. It is safe for concurrent use.
type limitedLog struct {
	next       atomic.Int64 // unix milliseconds
	suppressed atomic.Int64
}

func (l *limitedLog) log(ctx context.Context, o Options, message string, attrs ...slog.Attr) {
	now, next := o.Now().UnixMilli(), l.next.Load()
	if now < next || !l.next.CompareAndSwap(next, now+logEvery.Milliseconds()) {
		l.suppressed.Add(1)
		return
	}
	if n := l.suppressed.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("alike_before", n))
	}
	o.Logger.LogAttrs(ctx, slog.LevelWarn, message, attrs...)
}
