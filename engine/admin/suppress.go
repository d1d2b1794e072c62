package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bellhop/actions"
	"bellhop/engine/store"
)

// SuppressedList is a page of the addresses that are not written to.
type SuppressedList struct {
	Suppressed []store.Suppressed `json:"suppressed"`
	Next       string             `json:"next"` // the cursor of the next page, "" after the last
}

// A Suppression asks that an address is not written to any more.
type Suppression struct {
	Address  string `json:"address"`
	Channel  string `json:"channel,omitempty"`  // email if absent
	Location string `json:"location,omitempty"` // all if absent
	Reason   string `json:"reason,omitempty"`
}

const defaultChannel = "email"

// entry returns the entry of the list for a suppression.
func (a Suppression) entry() (store.Suppressed, error) {
	channel := cmp.Or(a.Channel, defaultChannel)
	if kind, ok := actions.Lookup(channel); !ok || !addressed(kind) {
		return store.Suppressed{}, &badRequest{fmt.Sprintf("there is no channel %q; there is %s", channel, defaultChannel)}
	}
	address := actions.Address(channel, a.Address)
	if address == "" {
		return store.Suppressed{}, &badRequest{fmt.Sprintf("%q is not an address of %s", a.Address, channel)}
	}
	return store.Suppressed{Location: a.Location, Channel: channel, Address: address, Reason: a.Reason}, nil
}

func addressed(kind actions.Kind) bool {
	_, ok := kind.New().(actions.Addressed)
	return ok
}

// maxQuestion is the largest body of a request, in bytes. An event and a state, each as large as a webhook can be, fit in it.
const maxQuestion = 3 << 20

// readJSON reads the body of a request. what says what it must be.
func readJSON(r *http.Request, into any, what string) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxQuestion+1))
	if err != nil {
		return &badRequest{"the body of the request could not be read"}
	}
	if len(body) > maxQuestion {
		return &badRequest{fmt.Sprintf("the body of the request is larger than %d MiB", maxQuestion>>20)}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if dec.Decode(into) != nil {
		return &badRequest{what}
	}
	return nil
}

func (s *server) suppressed(r *http.Request) (any, error) {
	list, next, err := paged(r, func(q url.Values, limit int) ([]store.Suppressed, error) {
		var after store.Suppressed
		if before := q.Get("before"); before != "" {
			parts := strings.SplitN(before, " ", 3)
			if len(parts) < 3 {
				return nil, &badRequest{"before is not the `next` of a page"}
			}
			after.Address, after.Channel, after.Location = parts[0], parts[1], parts[2]
		}
		return s.Store.SuppressedList(r.Context(), after, limit)
	}, func(a *store.Suppressed) string { return a.Address + " " + a.Channel + " " + a.Location })
	return SuppressedList{list, next}, err
}

func (s *server) suppress(r *http.Request) (any, error) {
	var asked Suppression
	if err := readJSON(r, &asked, `the body is a JSON object with "address", and perhaps "channel", "location" and "reason"`); err != nil {
		return nil, err
	}
	entry, err := asked.entry()
	if err != nil {
		return nil, err
	}
	entry.At = time.Now().UTC().Truncate(time.Microsecond)
	return entry, s.Store.Suppress(r.Context(), entry)
}

func (s *server) unsuppress(r *http.Request) (any, error) {
	q := r.URL.Query()
	entry, err := Suppression{Address: r.PathValue("id"), Channel: q.Get("channel"), Location: q.Get("location")}.entry()
	if err != nil {
		return nil, err
	}
	return entry, s.Store.Unsuppress(r.Context(), entry)
}
