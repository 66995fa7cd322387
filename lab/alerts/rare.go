package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/faketime"
	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// rareDrills bring about what a deployment seldom or never meets.
func rareDrills() []drill {
	return []drill{
		{
			name: "stale", cause: "the payment provider's list of its effects does not answer",
			alerts: []string{"MillraceReconcileStale"},
			inject: func(ctx context.Context, l *lab) error {
				return l.setFaults(ctx, faults{"payment": {"errorRate": 1.0, "operations": []string{"list"}}})
			},
			undo: heal,
		},
		{
			name: "panic", cause: "a process has a mistake that makes placing an order panic",
			alerts: []string{"MillracePanics"},
			inject: panics, undo: removeExtra,
			passed: true,
		},
		{
			name: "memory", cause: "a process whose garbage is not collected answers lists until it has 1.1 GB",
			alerts: []string{"MillraceMemoryHigh"},
			inject: hoard, undo: removeExtra,
		},
		{
			name: "wraparound", cause: "a million transactions without a vacuum, for a billion",
			alerts: []string{"MillracePostgresWraparound"},
			inject: burn, undo: freeze,
			shows: map[string]string{"MillracePostgresWraparound": `Not frozen for [1-9],\d{3},\d{3} transactions`},
		},
		{
			name: "clock", cause: "Postgres starts again with a clock that is 5 s ahead",
			alerts: []string{"MillraceClockSkew"},
			inject: func(ctx context.Context, l *lab) error { return l.skew(ctx, "+5s") },
			undo:   func(ctx context.Context, l *lab) error { return l.skew(ctx, "") },
		},
	}
}

// panics places orders, until the alert fires, at a process that panics at each. A counter's rise shows only if it was
// scraped before.
func panics(ctx context.Context, l *lab) error {
	arm := []string{"MILLRACE_FAILPOINTS=place.begin=panic"}
	if err := l.addExtraWith(ctx, arm, l.binary, "api", "--rate-limit", "0"); err != nil {
		return err
	}
	for over := time.Now().Add(firePatience); time.Now().Before(over); {
		err := l.ask(ctx, http.MethodPost, l.extra.url("/api/orders"), newOrder("card_visa"), nil)
		if err == nil {
			return errors.New("the order was placed without a panic")
		}
		if !strings.Contains(err.Error(), "status 500") {
			return err
		}
		if fired, _, _ := l.receiver.heard("MillracePanics", "full", l.since); !fired.IsZero() {
			return nil
		}
		if err := launch.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil // awaitFired says what is missing
}

// hoard has a process keep all memory that it ever took.
func hoard(ctx context.Context, l *lab) error {
	const enough, atMost = 1.1e9, "GOMEMLIMIT=1500MiB"
	if err := l.addExtraWith(ctx, []string{"GOGC=off", atMost}, l.binary, "api", "--rate-limit", "0"); err != nil {
		return err
	}
	busy, cancel := context.WithCancel(ctx)
	defer cancel()
	l.list(busy, l.extra, 8, 0)
	if !launch.Eventually(ctx, 5*time.Minute, func() bool { return resident(l.extra.PID()) > enough }) {
		return fmt.Errorf("the process has %.0f bytes of memory", resident(l.extra.PID()))
	}
	return nil
}

// resident returns how many bytes of memory a process has.
func resident(pid int) float64 {
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize())
}

// burn uses up a million transaction ids.
func burn(ctx context.Context, l *lab) error {
	return l.sql(ctx, `CREATE OR REPLACE PROCEDURE public.burn() LANGUAGE plpgsql AS $$ BEGIN
			FOR i IN 1 .. 1000000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;
		END $$`, "SET synchronous_commit = off", "CALL public.burn()", "DROP PROCEDURE public.burn()")
}

// freeze freezes all databases of the server. Nothing else can connect to template0.
func freeze(ctx context.Context, l *lab) error {
	if err := l.sql(ctx, "UPDATE pg_database SET datallowconn = true WHERE datname = 'template0'"); err != nil {
		return err
	}
	var failed []error
	for _, name := range []string{database, "template1", "template0"} {
		conn, err := pgx.Connect(ctx, l.server.DSN(name))
		if err == nil {
			_, err = conn.Exec(ctx, "VACUUM (FREEZE)")
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		failed = append(failed, err)
	}
	failed = append(failed, l.sql(ctx, "UPDATE pg_database SET datallowconn = false WHERE datname = 'template0'"))
	return errors.Join(failed...)
}

// skew has Postgres start again with another clock; with the machine's own if by is empty.
func (l *lab) skew(ctx context.Context, by string) error {
	right, err := faketime.Server(l.server.PID())
	if err != nil {
		return err
	}
	l.config.Bin = ""
	if by != "" {
		l.config.Bin = filepath.Join(l.deployment.dir, "bin"+by)
		tools := append([]string{"initdb"}, l.config.Tools...)
		if err := faketime.Bin(ctx, l.config.Bin, right, by, tools...); err != nil {
			return err
		}
	}
	if err := l.server.Stop(ctx); err != nil {
		return err
	}
	return l.startDatabase(context.WithoutCancel(ctx))
}
