package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"bellhop/engine/config"
)

// sampleFiles are the files that init writes, besides the sample event.
//
//go:embed sample
var sampleFiles embed.FS

func (p *program) initCommand() *cobra.Command {
	var list bool
	var name string
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a configuration, a first rule with its test, and a sample event to begin with",
		Long: `Init writes a commented bellhop.yaml, a folder rules with one working rule and its test, and a sample event
into DIR (this folder, if none is named). What is there already stays as it is.

There are worked examples, too: --list shows them, and --example writes one into DIR with its test, the
events that the test needs and, unless there is a configuration, one with the connections of the rule.`,
		Args: between(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			switch {
			case list && name != "":
				return usagef("--list shows the examples and --example writes one; give one of the two")
			case list:
				p.listExamples()
				return nil
			case name != "":
				return p.example(name, dir)
			}
			if err := p.writeFiles(dir, starter(time.Now())); err != nil {
				return err
			}
			p.printNext(dir)
			return nil
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the worked examples")
	cmd.Flags().StringVar(&name, "example", "", "write the worked example of this `name`")
	return cmd
}

// writeFiles writes files into a folder, and says of each whether it was there already and is kept.
func (p *program) writeFiles(dir string, files []starterFile) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		written, err := writeNew(path, f.data)
		if err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		p.printWritten(path, written)
	}
	return nil
}

// A starterFile is one file that init writes.
type starterFile struct {
	path string // with slashes
	data []byte
}

// starter returns the files that init writes. The appointment of the sample event is after now.
func starter(now time.Time) []starterFile {
	event, test := booking(embedded(sampleFiles, "sample/rules/new-booking.test.yaml"), now)
	return []starterFile{
		{config.FileName, embedded(sampleFiles, "sample/"+config.FileName)},
		{"rules/new-booking.test.yaml", test},
		{"rules/new-booking.yaml", embedded(sampleFiles, "sample/rules/new-booking.yaml")},
		{sampleEvent, event},
	}
}

// sampleEvent is the file of the event that init writes, to try things out with.
const sampleEvent = "events/booking.json"

// writeNew writes a file and the folders above it. It leaves a file that exists as it is, and reports whether it wrote.
func writeNew(path string, data []byte) (written bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.Write(data)
	return err == nil, errors.Join(err, f.Close())
}
