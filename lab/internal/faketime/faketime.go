// Package faketime sets the clock of a Postgres server apart, for the laboratories. It runs the server under
// libfaketime, which Go programs do not notice. Like package launch, it imports the standard library alone.
package faketime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrMissing is the error if there is no faketime.
var ErrMissing = errors.New("faketime is not installed (apt-get install faketime)")

// Server returns the directory of the programs of a running server, by its process id.
func Server(pid int) (string, error) {
	server, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return filepath.Dir(server), err
}

// Bin makes dir, a directory of Postgres programs whose server has a different time: skew is like +120s. The programs
// are those of right; tools are the ones beside the server.
func Bin(ctx context.Context, dir, right, skew string, tools ...string) error {
	// The command starts the server as its child and keeps signals from it, so only its library is used.
	library, err := exec.CommandContext(ctx, "faketime", "-f", "+0s", "printenv", "LD_PRELOAD").Output()
	if err != nil {
		return ErrMissing
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, tool := range tools {
		if err := os.Symlink(filepath.Join(right, tool), filepath.Join(dir, tool)); err != nil {
			return err
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nexport FAKETIME=%s FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD='%s'\n"+
		"exec %s/postgres \"$@\"\n", skew, strings.TrimSpace(string(library)), right)
	return os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o755)
}
