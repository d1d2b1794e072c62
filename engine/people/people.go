// Package people looks up contacts, colleagues, calendars and locations through the platform's API. client.go asks for one
// and keeps the answers, highlevel.go knows the API, and token.go finds the token for a location.
package people

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bellhop/actions"
	"bellhop/engine/config"
	"bellhop/engine/store"
)

// ErrNotFound is the error for an id that the platform does not know.
var ErrNotFound = errors.New("the platform does not know this id")

// A Wait is the error of a look-up that was not tried, because the platform takes no more requests for a while.
type Wait struct{ For time.Duration }

func (w *Wait) Error() string {
	return fmt.Sprintf("the platform's API takes no more requests for the next %s", w.For.Round(time.Second))
}

// Options are the parts of a Client. API, Guard and Store are required.
type Options struct {
	config.People // Tokens, App, Keep and Stale; a Keep of 0 is an hour

	API    *actions.HTTPAPI
	Guard  *actions.Guard
	Store  *store.Store // has what all processes share: counts of requests, and the app's tokens
	Logger *slog.Logger
	Now    func() time.Time // nil is time.Now
}

// The limits of the platform for each location. The span is longer than the platform's, because requests arrive later than
// they are counted.
const (
	limit = 100
	span  = 11 * time.Second
)
