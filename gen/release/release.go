package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const (
	changelogFile = "CHANGELOG.md"
	currentFile   = "api/openapi.yaml"
	releasedFile  = "api/openapi.released.yaml"

	unreleased = "## Unreleased\n"
	undated    = "\n  version: dev\n" // the document's version between releases
	none       = "0.0.0"              // stands for the newest release before the first release
)

var (
	section = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}$`)
	version = regexp.MustCompile(`^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$`)
)

// newest returns the version of the CHANGELOG's first section that has a date.
func newest(changelog []byte) string {
	if found := section.FindSubmatch(changelog); found != nil {
		return string(found[1])
	}
	return none
}

// stamp is the first line of the released document. Its digest covers the rest, so the document cannot be changed, or
// replaced by the current one, without a release.
func stamp(released string, document []byte) []byte {
	return fmt.Appendf(nil, "# Release %s, written by make release. sha256 of what follows: %x\n",
		released, sha256.Sum256(document))
}

// check fails if the released document has changed since the newest release, or belongs to another release.
func check(root string) error {
	changelog, err := os.ReadFile(filepath.Join(root, changelogFile))
	if err != nil {
		return err
	}
	released, err := os.ReadFile(filepath.Join(root, releasedFile))
	if err != nil {
		return err
	}
	first, document, _ := bytes.Cut(released, []byte("\n"))
	if want := stamp(newest(changelog), document); !bytes.Equal(append(first, '\n'), want) {
		return fmt.Errorf("%s is not the document of release %s, the newest in %s: only make release writes it",
			releasedFile, newest(changelog), changelogFile)
	}
	return nil
}

// release turns the section Unreleased into a version's, and the current document into the released one. The released
// document has the version that clients are made for.
func release(root, next string, now time.Time) error {
	if err := check(root); err != nil {
		return err
	}
	path := filepath.Join(root, changelogFile)
	changelog, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	document, err := os.ReadFile(filepath.Join(root, currentFile))
	if err != nil {
		return err
	}
	if last := newest(changelog); !later(next, last) {
		return fmt.Errorf("%s is not a version later than %s", next, last)
	}
	before, after, found := bytes.Cut(changelog, []byte(unreleased))
	entries := after
	if at := section.FindIndex(after); at != nil {
		entries = after[:at[0]]
	}
	if !found || len(bytes.TrimSpace(entries)) == 0 {
		return errors.New("nothing is unreleased in " + changelogFile)
	}
	if bytes.Count(document, []byte(undated)) != 1 {
		return errors.New(currentFile + " does not have the version dev")
	}
	document = bytes.Replace(document, []byte(undated), []byte("\n  version: "+next+"\n"), 1)
	heading := fmt.Sprintf("%s\n## %s - %s\n", unreleased, next, now.UTC().Format(time.DateOnly))
	changelog = bytes.Join([][]byte{before, after}, []byte(heading))
	document = append(stamp(next, document), document...)
	return errors.Join(
		os.WriteFile(filepath.Join(root, releasedFile), document, 0o644), os.WriteFile(path, changelog, 0o644))
}

// later reports whether a version comes after another.
func later(a, b string) bool {
	left, right := version.FindStringSubmatch(a), version.FindStringSubmatch(b)
	if left == nil || right == nil {
		return false
	}
	for i := 1; i < len(left); i++ {
		l, _ := strconv.Atoi(left[i])
		r, _ := strconv.Atoi(right[i])
		if l != r {
			return l > r
		}
	}
	return false
}
