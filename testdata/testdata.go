// Package testdata holds the sample events, the rules of the demo and the worked examples with their tests,
// for the commands that show them to people.
package testdata

import "embed"

// Files are the folders events, demo and rules, and the configuration that rules stands under.
//
//go:embed events/*.json demo/*.yaml rules/*.yaml bellhop.yaml
var Files embed.FS
