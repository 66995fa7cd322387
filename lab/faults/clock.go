package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/faketime"
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
	right, err := faketime.Server(r.primary().PID())
	if err != nil {
		return err
	}
	number := 0
	for _, skew := range []string{"+120s", "-120s", "+3600s", "-3600s"} {
		bin := filepath.Join(r.dir, "bin"+skew)
		err := faketime.Bin(ctx, bin, right, skew, append([]string{"initdb"}, r.primary().config.Tools...)...)
		if errors.Is(err, faketime.ErrMissing) {
			return &skippedError{err.Error()}
		}
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
