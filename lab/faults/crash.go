package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func crashRows() []row {
	return []row{{
		id: "F1", name: "kill -9 at every failpoint in the source", short: true,
		needs:    needs{instances: -1, args: loopbackWebhooks()},
		expected: "points hit / points there are: all; nothing lost, nothing doubled", run: everyCrashPoint,
		settle: 5 * time.Minute,
	}}
}

// everyCrashPoint starts a process for each failpoint that dies there, and gives it work that leads there. Each later
// process takes up the work that the dead left, and the last process lives.
func everyCrashPoint(ctx context.Context, r *run) error {
	points, err := failpoints(r.source)
	if err != nil {
		return err
	}
	receiver, err := newReceiver(ctx)
	if err != nil {
		return err
	}
	var hit, missed []string
	for round := range size(r, 1, 3) {
		for _, point := range points {
			crashed, err := r.crashAt(ctx, receiver, point, round)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", point, err)
			case crashed && !slices.Contains(hit, point):
				hit = append(hit, point)
			}
		}
	}
	for _, point := range points {
		if !slices.Contains(hit, point) {
			missed = append(missed, point)
		}
	}
	r.figure("points", "%d of %d", len(hit), len(points))
	r.figure("kills", "%d", r.kills)
	r.expect(len(missed) == 0, "never hit: %s", strings.Join(missed, ", "))
	if _, err := r.add(ctx, "survivor"); err != nil {
		return err
	}
	return r.received(ctx, receiver)
}

// crashAt makes a process die at a point, and reports whether it died.
func (r *run) crashAt(ctx context.Context, to *receiver, point string, round int) (bool, error) {
	if family, _, _ := strings.Cut(point, "."); family == "migrate" || family == "keys" {
		return r.crashCommand(ctx, point, round)
	}
	if family, _, _ := strings.Cut(point, "."); family == "hand_over" || point == "carry.before_hand_over" ||
		point == "step.begin" || point == "step.before_ask" || point == "step.asked" || point == "step.failed" {
		// the point is reached only after failures
		if err := r.setFaults(ctx, faults{"payment": {"errorRate": 0.8}}); err != nil {
			return false, err
		}
		defer func() { _ = r.setFaults(ctx, nil) }()
	}
	env := fmt.Sprintf("MILLRACE_FAILPOINTS=%s=crash@%d", point, 1+round*(1+r.random.IntN(4)))
	victim, err := r.add(ctx, "victim-"+point+"-"+strconv.Itoa(round), env)
	defer func() {
		if victim != nil {
			victim.Kill()
			r.remove(victim)
		}
	}()
	if err != nil && !victim.Ended() {
		return false, err
	}
	if family, _, _ := strings.Cut(point, "."); family == "webhook" || family == "fanout" {
		// A new webhook, because a webhook that a dead process was sending to is busy for a minute. The victim may die during
		// this call.
		_ = r.register(ctx, to, victim, fmt.Sprintf("%s-%d", point, round))
	}
	r.workUntilDead(ctx, victim, point, round)
	if victim.Ended() && victim.Killed() {
		r.kills++
		return true, nil
	}
	return false, nil
}

// crashCommand makes a command die at a point, with a database of its own: a key in a shared database would require one
// from all customers. The interrupted work must not prevent a repetition.
func (r *run) crashCommand(ctx context.Context, point string, round int) (bool, error) {
	database := fmt.Sprintf("%s_%d", strings.ReplaceAll(point, ".", "_"), round)
	if err := r.primary().exec(ctx, "CREATE DATABASE "+database); err != nil {
		return false, err
	}
	url := []string{"--database-url", r.primary().DSN(database)}
	command := append([]string{"migrate"}, url...)
	if strings.HasPrefix(point, "keys.") {
		if err := r.command(ctx, nil, command...); err != nil {
			return false, err
		}
		command = append([]string{"keys", "create", "--role", "service"}, url...)
	}
	crashed := r.crash(ctx, "MILLRACE_FAILPOINTS="+point+"=crash", command...)
	return crashed, r.command(ctx, nil, command...)
}

// workUntilDead has customers of all kinds use the victim until it dies.
func (r *run) workUntilDead(ctx context.Context, victim *instance, point string, round int) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second) // becoming the leader may take nearly as long
	defer cancel()
	go func() {
		<-victim.Done()
		cancel()
	}()
	for wave := 0; ctx.Err() == nil; wave++ {
		customers := r.newCustomers()
		customers.via, customers.patience = victim, 3*time.Second
		scripts := r.wave(fmt.Sprintf("%s-%d-%d", point, round, wave))
		customers.run(ctx, scripts)
		pause(ctx, time.Second)
	}
}

// wave returns a few customers. Together they take every path of an order, and send everything twice.
func (r *run) wave(name string) []script {
	l := load{orders: 6, rate: 100}
	scripts := l.scripts(r.random)
	scripts[0].body["paymentMethod"] = "card_declined"
	scripts[1].cancel, scripts[2].cancel = 5*time.Millisecond, 100*time.Millisecond
	scripts[3].refund, scripts[3].patient = "9.97", true
	for i := range scripts {
		scripts[i].key = fmt.Sprintf("%s-%d", name, i)
		scripts[i].twice = true
	}
	return scripts
}

// crash runs a command that should die, and reports whether it did.
func (r *run) crash(ctx context.Context, env string, args ...string) bool {
	p, err := r.launch("crash.log", []string{env}, args...)
	if err != nil {
		return false
	}
	finish(ctx, p)
	return p.Killed()
}

// failpoints lists the failpoints in the source, sorted. It fails if a name is not a literal, or if two points share a
// name: the list would be wrong. Those of the archive are left out: an order rests for a day before it is archived, and
// the package's own TestCrashes kills a process at each of them.
func failpoints(source string) (names []string, err error) {
	err = filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"lab", "failpoint", ".git"}, d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		found, err := failpointsIn(path)
		names = append(names, found...)
		return err
	})
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		return nil, fmt.Errorf("two failpoints have one name, among %v", names)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "archive.") }), err
}

func failpointsIn(path string) (names []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "Hit" {
			return true
		}
		if id, ok := selector.X.(*ast.Ident); !ok || id.Name != "failpoint" {
			return true
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			err = fmt.Errorf("%s has a failpoint whose name is not a literal", path)
			return false
		}
		name, _ := strconv.Unquote(literal.Value) // the parser has accepted it
		names = append(names, name)
		return true
	})
	return names, err
}
