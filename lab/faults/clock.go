package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

func clockRows() []row {
	return []row{{
		id: "F28", name: "the database's clock is two minutes, then an hour off, either way",
		expected: "no instance starts against such a clock; running instances lose nothing", run: wrongClock,
		needs: needs{instances: 2}, settle: 6 * time.Minute, skewed: true,
	}}
}

// wrongClock runs Postgres under libfaketime. Go programs do not notice that library, so the clocks differ.
func wrongClock(ctx context.Context, r *run) error {
	// The command starts the server as its child and keeps signals from it, so only its library is used.
	library, err := exec.CommandContext(ctx, "faketime", "-f", "+0s", "printenv", "LD_PRELOAD").Output()
	if err != nil {
		return &skippedError{"faketime is not installed (apt-get install faketime)"}
	}
	server, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.primary().PID()))
	if err != nil {
		return err
	}
	right := filepath.Dir(server)
	number := 0
	for _, skew := range []string{"+120s", "-120s", "+3600s", "-3600s"} {
		tools := append([]string{"initdb"}, r.primary().config.Tools...)
		bin, err := skewed(filepath.Join(r.dir, "bin"+skew), right, strings.TrimSpace(string(library)), skew, tools)
		if err != nil {
			return err
		}
		r.primary().config.Bin = bin
		if err := r.primary().restart(ctx, syscall.SIGQUIT, 0); err != nil {
			return err
		}
		scripts := usual(size(r, 20, 100), 10).scripts(r.random)
		for i := range scripts {
			number++
			scripts[i].key = fmt.Sprintf("order-%d", number)
		}
		r.newCustomers().run(ctx, scripts)
		// An instance that starts now notices that the clocks differ.
		stranger := &instance{name: "stranger" + skew}
		if stranger.api, err = launch.FreePort(ctx); err != nil {
			return err
		}
		if err := r.begin(stranger); err != nil {
			return err
		}
		refused := launch.Eventually(ctx, 20*time.Second, stranger.Ended)
		r.expect(refused, "an instance started although the clocks differ by %s", skew)
		stranger.Kill()
	}
	r.primary().config.Bin = right
	return r.primary().restart(ctx, syscall.SIGQUIT, 0)
}

// skewed makes a directory of Postgres binaries whose server has a different time. tools are those beside the server.
func skewed(dir, right, library, skew string, tools []string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, tool := range tools {
		if err := os.Symlink(filepath.Join(right, tool), filepath.Join(dir, tool)); err != nil {
			return "", err
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nexport FAKETIME=%s FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD='%s'\n"+
		"exec %s/postgres \"$@\"\n", skew, library, right)
	return dir, os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o755)
}
