package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// guard is a part of the source without which the matrix, or a test, must not hold. It is removed from a copy that
// exists for one build only (go build -overlay), so the product has no switch for it.
type guard struct {
	id, name string
	file     string // from the top of the repository
	with     string // must occur exactly once
	without  string
	seenBy   string // the row that must fail, or the test
	tests    string // the package of the test
	short    bool
	atLength bool // the row notices for certain only at full length
}

func guards() []guard {
	return []guard{
		{
			id: "G1", name: "a step that is settled stays so", file: "orders/decide.go", seenBy: "F51", short: true,
			with: "if s == nil || s.State != StatePending {", without: "if s == nil {",
		},
		{
			id: "G2", name: "what may have happened is undone", file: "orders/step.go", seenBy: "F51",
			with: "s.State == StateSucceeded || s.State == StateUnknown }", without: "s.State == StateSucceeded }",
		},
		{
			id: "G3", name: "an order is locked while its next version is made", file: "store/apply.go", seenBy: "F37",
			with: `		if err := s.queries.OrdersQueue(ctx, tx, ids); err != nil {
			return fmt.Errorf("queue for orders: %w", err)
		}
		current, err := s.lock(ctx, tx, ids)
`,
			without: "\t\tcurrent, err := s.read(ctx, tx, ids)\n",
		},
		{
			id: "G4", name: "the key of a call is made before the call", file: "store/intent.go", seenBy: "F29", short: true,
			with:    "orders.StepKey(job.OrderID, job.Step, int(row.KeyGeneration))",
			without: "orders.StepKey(job.OrderID, job.Step, int(row.KeyGeneration)) + orders.NewID().String()",
		},
		{
			id: "G5", name: "the bytes of a call are made before the call", file: "store/intent.go", seenBy: "F29",
			with: "Request: row.Request, DeadlineAt: row.DeadlineAt.UTC(),",
			without: `DeadlineAt: row.DeadlineAt.UTC(), ` +
				`Request: fmt.Appendf(nil, "%*s", len(row.Request)+int(time.Now().UnixNano()%97), row.Request),`,
		},
		{
			id: "G6", name: "the log is read below the oldest transaction", file: "store/log.go", seenBy: "F20", atLength: true,
			with: "Below: bounds.Oldest,", without: "Below: bounds.Newest,",
		},
		{
			id: "G7", name: "the sweep", file: "store/sweep.go", seenBy: "F6",
			with: "err = s.sweep(ctx, longest, overdue, &swept)", without: "err = nil",
		},
		{
			id: "G8", name: "nothing is sent after its deadline", file: "jobs/step.go", seenBy: "F33",
			with: "late := c.Now().Sub(intent.DeadlineAt)", without: "late := time.Duration(-1)",
		},
		{
			id: "G9", name: "a provider is asked after failures", file: "jobs/step.go", seenBy: "F33",
			with: "late >= 0 || tries >= askAfter || intent.Again", without: "late >= 0 || intent.Again",
		},
		{
			id: "G10", name: "a placement is stored with its idempotency key", file: "api/order_place.go", seenBy: "F22",
			with: "placement.IdempotencyKey, err = parseIdempotencyKey", without: "_, err = parseIdempotencyKey",
		},
		{
			id: "G11", name: "a commit comes before its answer", file: "store/database.go", seenBy: "F7",
			with: `err := pgx.BeginFunc(ctx, d.db, func(tx pgx.Tx) error {
			return unwritten(func() error { return fn(ctx, tx) })
		})`,
			without: `tx, err := d.db.Begin(ctx)
		if err == nil {
			if err = fn(ctx, tx); err == nil {
				go func() {
					<-time.After(300 * time.Millisecond)
					_ = tx.Commit(context.WithoutCancel(ctx))
				}()
			}
		}`,
		},
		{
			id: "G12", name: "a repeated placement waits for the standby", file: "store/place.go", seenBy: "F14", atLength: true,
			with: "if err := s.queries.Confirm(ctx, tx); err != nil {", without: "if err := error(nil); err != nil {",
		},
		{
			id: "G13", name: "what was cached before a change is not served after it", file: "cache/cache.go", seenBy: "F40",
			with: "return e, ok && e.generation == generation", without: "return e, ok",
		},
		{
			id: "G14", name: "what is remembered of an order counts at its version only", file: "store/recent.go",
			seenBy: "F37", with: " && o.Version == version && o.UpdatedAt.Equal(updatedAt)",
			without: " && version > 0 && updatedAt.After(time.Time{})",
		},
		{
			id: "G15", name: "a success is one in the contract's words only", file: "upstream/answer.go", seenBy: "F29",
			with: `	if contradiction := m.contradiction(o); contradiction != "" {
		return Answer{}, unclear(p, contradiction)
	}
	return m.done(), nil
}

// judgeAsk`,
			without: "	return m.done(), nil\n}\n\n// judgeAsk",
		},
		{
			id: "G16", name: "a job ends in the commit that hands over its steps", file: "store/hand_over.go", seenBy: "F30",
			with: `		if err := s.insert(ctx, tx, params); err != nil {
			return err
		}
		failpoint.Hit("hand_over.inserted")
`,
			without: `		go func() {
			<-time.After(500 * time.Millisecond)
			_ = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error { return s.insert(ctx, tx, params) })
		}()
`,
		},
		{
			id: "G17", name: "a replica answers if it has replayed what the caller has seen", file: "store/replica.go",
			seenBy: "F15", with: "case row.Marks == 0, uint64(row.Lsn) < after.lsn:", without: "case row.Marks == 0:",
		},
		{
			id: "G18", name: "an archive file is compared with the database before its orders may leave",
			file: "archive/archive.go", seenBy: "TestReadBack", tests: "archive",
			with: "return same(list[next-1], got, pruned)", without: "return nil",
		},
		{
			id: "G19", name: "orders leave if their archive file is whole at that moment", file: "archive/archive.go",
			seenBy: "TestDamagedFile", tests: "archive",
			with: "switch err := check(a.Dir, f, nil); {", without: "switch err := error(nil); {",
		},
		{
			id: "G20", name: "an order that has changed since its archive file was written stays",
			file: "store/dbsqlc/archive.sql.go", seenBy: "TestChangedMeanwhile", tests: "archive",
			with: "a.order_id = ANY($2::uuid[]) AND o.version = a.version", without: "a.order_id = ANY($2::uuid[])",
		},
	}
}

func guardRows() []row {
	list := guards()
	rows := make([]row, len(list))
	for i, g := range list {
		rows[i] = row{
			id: g.id, name: "without this guard: " + g.name, expected: g.seenBy + " fails", short: g.short, apart: true,
			run: g.remove,
		}
	}
	return rows
}

// remove builds everything without the guard and runs the row, or the test, that must notice.
func (g guard) remove(ctx context.Context, r *run) error {
	dir, err := os.MkdirTemp("/tmp", "millrace-guard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // as root, Postgres runs as a different user
		return err
	}
	source, err := filepath.Abs(r.source)
	if err != nil {
		return err
	}
	overlay, err := g.overlay(source, dir)
	if err != nil {
		return err
	}
	if g.tests != "" {
		return g.test(ctx, r, source, overlay)
	}
	binary, results := filepath.Join(dir, "faults"), filepath.Join(dir, "results.json")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, ".")
	build.Dir = filepath.Join(source, "lab", "faults")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build without the guard: %w\n%s", err, out)
	}
	matrix := exec.CommandContext(ctx, binary, "-rows", g.seenBy, "-seed", fmt.Sprint(r.seed), "-source", source,
		"-overlay", overlay, "-settle", "30s", "-json", results, "-dir", filepath.Join(dir, "data"),
		fmt.Sprintf("-full=%t", g.atLength))
	matrix.Cancel = func() error { return matrix.Process.Signal(syscall.SIGTERM) }
	matrix.WaitDelay = time.Minute
	out, _ := matrix.CombinedOutput() // it should fail: the results show how
	b, err := os.ReadFile(results)
	if err != nil {
		return fmt.Errorf("%s gave no results: %w\n%s", g.seenBy, err, out)
	}
	var got report
	if err := json.Unmarshal(b, &got); err != nil {
		return err
	}
	seen := map[string]int{}
	for _, v := range got.Rows[0].Violations {
		name, rest, _ := strings.Cut(v, ": ")
		if name == "run" { // a row that could not run proves nothing
			return fmt.Errorf("%s: %s", g.seenBy, rest)
		}
		if name == "explain" { // guards are for invariants, and this is none
			continue
		}
		if len(name) > 6 { // an expectation of the row itself, not an invariant
			name = "the row's own"
		}
		seen[name]++
	}
	r.expect(len(seen) > 0, "%s holds without it", g.seenBy)
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		r.figure("violations of "+name, "%d", seen[name])
	}
	return nil
}

// test runs the test that must notice that the guard is missing.
func (g guard) test(ctx context.Context, r *run, source, overlay string) error {
	command := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-count", "1", "-timeout", "5m",
		"-run", "^"+g.seenBy+"$", "./"+g.tests)
	command.Dir = source
	out, err := command.CombinedOutput()
	failed := strings.Contains(string(out), "--- FAIL: "+g.seenBy+" ")
	if err != nil && !failed { // a test that could not run proves nothing
		return fmt.Errorf("%s: %w\n%s", g.seenBy, err, out)
	}
	r.expect(failed, "%s passes without it", g.seenBy)
	return nil
}

// overlay writes the file that go build -overlay reads. It names the replacement of the guard's file.
func (g guard) overlay(source, dir string) (string, error) {
	path := filepath.Join(source, g.file)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), g.with); n != 1 {
		return "", fmt.Errorf("%s is %d times in %s: the guard has changed, so must its row", g.with, n, g.file)
	}
	patched := filepath.Join(dir, "patched.go")
	if err := os.WriteFile(patched, []byte(strings.Replace(string(b), g.with, g.without, 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: patched}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, overlay, 0o600)
}
