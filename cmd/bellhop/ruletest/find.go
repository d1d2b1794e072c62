package ruletest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bellhop/rules/live"
	"bellhop/rules/text"
)

// Files are the test files that paths name, sorted: a test file itself, of a rule file the one named after it,
// of a folder all that are in it and below. What cannot be found is a finding.
func Files(paths []string) (files []string, findings []text.Finding) {
	for _, path := range paths {
		fail := func(code, message string) {
			findings = append(findings, text.AtStart(path, code, message))
		}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fail("not-found", "there is no such file or folder")
		case err != nil:
			fail("unreadable", "this cannot be read: "+live.WithoutPath(err).Error())
		case info.IsDir():
			below, err := filesBelow(path)
			if err != nil {
				fail("unreadable", "this folder cannot be read: "+live.WithoutPath(err).Error())
			}
			files = append(files, below...)
		case live.IsTest(filepath.Base(path)):
			files = append(files, filepath.Clean(path))
		default:
			test := strings.TrimSuffix(path, filepath.Ext(path)) + ".test"
			found := false
			for _, ext := range []string{".yaml", ".yml"} {
				if _, err := os.Stat(test + ext); err == nil {
					files, found = append(files, filepath.Clean(test+ext)), true
				}
			}
			if !found {
				fail("not-found", fmt.Sprintf("there are no tests of it; they would be in %s", text.Quote(filepath.Base(test)+".yaml")))
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), findings
}

func filesBelow(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && live.IsTest(d.Name()):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}
