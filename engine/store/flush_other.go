//go:build !linux

package store

import "os"

// flushData makes the content of a file durable.
func flushData(f *os.File) error { return f.Sync() }
