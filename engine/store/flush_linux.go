package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// flushData makes the content of a file durable. It leaves out what fsync also writes, such as the time of the change.
func flushData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
