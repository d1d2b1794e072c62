// Package people looks up people and places through the platform's API.
package people

import "errors"

// ErrNotFound is the error for an id that the platform does not know.
var ErrNotFound = errors.New("the platform does not know it")
