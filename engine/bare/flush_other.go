//go:build !linux

package bare

import "os"

// flush writes f to the disk.
func flush(f *os.File) error { return f.Sync() }
