// Package admin serves operators: the API under /api/v1, the status page, metrics and health. It has its own
// listener and never shares the one that receives webhooks.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bellhop/actions"
	"bellhop/engine/metrics"
	"bellhop/engine/receive"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/work"
	"bellhop/rules"
	"bellhop/rules/live"
)

// Options are what the API shows and works on. All except Token are required.
type Options struct {
	Store    *store.Store
	Receiver *receive.Receiver
	Folder   *live.Folder
	Metrics  *metrics.Metrics
	Logger   *slog.Logger
	Version  string
	Compile  rules.Options // for older versions of rule files; its Zone is for times without an offset

	Destinations func() []work.Destination // where deliveries go, and which of them are paused

	// Token is required for everything except /healthz and /readyz. Clients send it as a bearer token; browsers
	// send it as the password, with any user name. If it is "", no token is needed, but only requests whose Host
	// is localhost or a loopback address are answered. A web page from elsewhere then cannot use a visitor's
	// browser to reach the API.
	Token string
}

type server struct{ Options }

// New returns the handler of the admin listener.
func New(o Options) http.Handler {
	s := &server{o}
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.HandleFunc(r.method+" /api/v1"+r.path, func(w http.ResponseWriter, req *http.Request) {
			v, err := r.serve(s, req)
			if err != nil {
				s.fail(w, req, err)
				return
			}
			answer(w, http.StatusOK, v)
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, problem{"there is no such path or method; /api/v1/openapi.json lists them"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", s.page)
	protected := http.NewCrossOriginProtection().Handler(s.authorised(mux))

	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, health{Status: "ok"}) })
	outer.HandleFunc("GET /readyz", s.ready)
	outer.Handle("/", protected)
	return outer
}

// authorised passes on requests that carry the token. If no token is configured, it passes on requests that are
// addressed to this machine.
func (s *server) authorised(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Token == "" {
			if !actions.Loopback(r.Host) {
				answer(w, http.StatusForbidden, problem{"without admin_token, only requests to localhost are answered"})
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, given, _ = r.BasicAuth()
		}
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Bellhop"`)
			answer(w, http.StatusUnauthorized, problem{"the admin token is missing or wrong"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

type problem struct {
	Error string `json:"error"`
}

type health struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
	// FailedFiles are rule files whose current content is not in force. They do not make the process unready.
	FailedFiles []string `json:"failedFiles,omitempty"`
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	h := health{Status: "ok"}
	for _, f := range s.Folder.Files() {
		if f.Status == live.Failed {
			h.FailedFiles = append(h.FailedFiles, f.Path)
		}
	}
	if err := s.Store.Ready(r.Context()); err != nil {
		h.Status, h.Error = "unready", "the store cannot be written"
		s.Logger.Error("not ready", "error", err)
		answer(w, http.StatusServiceUnavailable, h)
		return
	}
	answer(w, http.StatusOK, h)
}

func answer(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error": "the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // an error means that the client is gone
}

// badRequest is an error that the client made. The client sees its sentence.
type badRequest struct{ sentence string }

func (e *badRequest) Error() string { return e.sentence }

// fail answers with the status for err. Errors that the client does not see are logged.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var conflict *record.ConflictError
	var bad *badRequest
	switch {
	case errors.Is(err, store.ErrNotFound):
		answer(w, http.StatusNotFound, problem{err.Error()})
	case errors.As(err, &conflict), errors.Is(err, receive.ErrNotReplayable):
		answer(w, http.StatusConflict, problem{err.Error()})
	case errors.As(err, &bad):
		answer(w, http.StatusBadRequest, problem{err.Error()})
	case errors.Is(err, context.Canceled):
	default:
		s.Logger.Error("an admin request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		answer(w, http.StatusInternalServerError, problem{"internal error; the log has the cause"})
	}
}
