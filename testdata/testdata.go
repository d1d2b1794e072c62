// Package testdata holds the sample events and the rules of the demo, for the commands that show them to
// people.
package testdata

import "embed"

// Files are the folders events and demo.
//
//go:embed events/*.json demo/*.yaml
var Files embed.FS
