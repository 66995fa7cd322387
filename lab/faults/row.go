package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// row is a line of the fault matrix: a fault, and what it must not cause.
type row struct {
	id, name string
	expected string
	needs    needs
	short    bool // part of CI's selection
	run      func(context.Context, *run) error
	// settle is how long the system may take to come to rest after the faults end. Default 3 minutes.
	settle time.Duration
	// rests is how long 99 of 100 orders may take to come to rest, in the whole matrix. 0: as long as they like.
	rests     time.Duration
	attention bool // orders may end in needs_attention
	skewed    bool // clocks are apart: an instance takes over the database's, and the providers keep theirs
	apart     bool // needs no deployment
	control   bool // shows that a guard is needed: it must fail
}

// rows returns the matrix, in the order in which it runs.
func rows() []row {
	return slices.Concat(crashRows(), killRows(), outageRows(), failoverRows(), networkRows(), poolerRows(),
		providerRows(), raceRows(), clockRows(), modelRows(), guardRows())
}

// run is a row that is running.
type run struct {
	*deployment
	*checker
	row     row
	full    bool
	seed    uint64
	random  *rand.Rand
	figures []figure
	logger  *slog.Logger
	binary  string // of millrace
	source  string // the top of the repository
	failed  []string
	// explained counts what explain said of orders under way.
	explained explained
}

// figure is a number that a row reports.
type figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// figure reports a number.
func (r *run) figure(name, format string, args ...any) {
	r.figures = append(r.figures, figure{name, fmt.Sprintf(format, args...)})
}

// expect fails the row unless holds is true.
func (r *run) expect(holds bool, format string, args ...any) {
	if !holds {
		r.failed = append(r.failed, fmt.Sprintf(format, args...))
	}
}

// size chooses a parameter for the short selection or the full matrix.
func size[T any](r *run, short, full T) T {
	if r.full {
		return full
	}
	return short
}

// execute runs a row, from its deployment to its checks.
func execute(ctx context.Context, w row, c config, seed uint64, binary string) (result result) {
	began := time.Now()
	result.ID, result.Name, result.Expected, result.Seed = w.id, w.name, w.expected, seed
	if c.settle > 0 {
		w.settle = c.settle
	}
	r := &run{
		row: w, full: c.full, seed: seed, logger: c.logger, binary: binary, source: c.source,
		random: rand.New(rand.NewPCG(seed, hash(w.id))),
	}
	err := r.all(ctx, c)
	result.Violations = r.failed
	if r.checker != nil {
		result.Violations = append(result.Violations, r.violations...)
	}
	if w.control && err == nil {
		lost := 0
		for _, v := range result.Violations {
			if strings.HasPrefix(v, "I1: ") {
				lost++
			}
		}
		r.figure("accepted and lost", "%d, as there must be", lost)
		if lost == 0 {
			result.Violations = []string{"the control holds, so the row that it controls proves nothing"}
		} else {
			result.Violations = nil
		}
	}
	result.Figures, result.Explained = r.figures, r.explained
	var skipped *skippedError
	switch {
	case errors.As(err, &skipped):
		result.Skipped = skipped.why
	case err != nil:
		result.Violations = append(result.Violations, "run: "+err.Error())
	}
	result.Seconds = time.Since(began).Seconds()
	return result
}

// skippedError is why a row cannot run here.
type skippedError struct{ why string }

func (e *skippedError) Error() string { return e.why }

func (r *run) all(ctx context.Context, c config) (err error) {
	if r.row.apart {
		return r.row.run(ctx, r)
	}
	dir, err := os.MkdirTemp(c.dir, strings.ToLower(r.row.id)+"-")
	if err != nil {
		return err
	}
	needs := r.row.needs
	if needs.instances == 0 {
		needs.instances = 2
	}
	r.deployment, err = deploy(ctx, r.binary, dir, needs)
	if err != nil {
		return err
	}
	defer func() {
		r.stop()
		if err == nil && (r.row.control || len(r.failed)+len(r.violations) == 0) {
			_ = os.RemoveAll(dir)
		} else {
			r.logger.InfoContext(ctx, "logs and journal are kept", "dir", dir)
		}
	}()
	journal, err := newJournal(filepath.Join(dir, "journal.jsonl"))
	if err != nil {
		return err
	}
	r.checker = &checker{deployment: r.deployment, journal: journal, attention: r.row.attention, skewed: r.row.skewed}
	explainer := r.watch(ctx, r.seed)
	defer explainer.end()
	if err := r.row.run(ctx, r); err != nil {
		return err
	}
	return r.finish(ctx, explainer)
}

// finish ends all faults, waits until the system is at rest, and checks it.
func (r *run) finish(ctx context.Context, explainer *explainer) error {
	if err := r.heal(ctx); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	patience := r.row.settle
	if patience == 0 {
		patience = 3 * time.Minute
	}
	healed := time.Now()
	var open int
	r.expect(launch.Eventually(ctx, patience, func() bool {
		var err error
		open, err = r.open(ctx)
		return err == nil && open == 0
	}), "%d orders or steps are open %s after the faults were over", open, patience)
	r.figure("drained", "%.1f s", time.Since(healed).Seconds())
	explainer.end()
	if err := r.compare(ctx, explainer); err != nil {
		return fmt.Errorf("compare explanations: %w", err)
	}
	if err := r.took(ctx); err != nil {
		return fmt.Errorf("measure orders: %w", err)
	}
	if err := r.readAll(ctx); err != nil {
		return fmt.Errorf("read all orders: %w", err)
	}
	return r.check(ctx)
}

// compare reports how many explanations came true. A row fails if one told of work where none was done for long, or if
// clearly too few came true.
func (r *run) compare(ctx context.Context, explainer *explainer) error {
	if r.row.control { // it loses orders, and with them what was promised of them
		return nil
	}
	count, wrong, wedged, err := explainer.judge(ctx)
	if err != nil {
		return err
	}
	r.explained = count
	r.figure("explained", "%s", count)
	for _, text := range wrong[:min(len(wrong), 20)] {
		r.logger.WarnContext(ctx, "an explanation was wrong", "row", r.row.id, "said", text)
	}
	for _, text := range wedged {
		r.violated("explain", "%s", text)
	}
	if count.fails() {
		r.violated("explain", "only %s came true, about %d orders", count, count.Wronged)
	}
	return nil
}

// took reports how long orders took: the tail shows the cost of a crash or an outage.
func (r *run) took(ctx context.Context) error {
	for _, percent := range []int{50, 99} {
		ms, err := r.primary().number(ctx, fmt.Sprintf(`SELECT coalesce(percentile_disc(0.%d) WITHIN GROUP (
			ORDER BY extract(epoch FROM e.at - o.placed_at)) * 1000, 0)::int FROM millrace.orders o, LATERAL (
				SELECT min(at) AS at FROM millrace.order_events
				WHERE order_id = o.id AND status NOT IN ('pending', 'processing')
			) e WHERE e.at IS NOT NULL`, percent))
		if err != nil {
			return err
		}
		r.figure(fmt.Sprintf("to rest p%d", percent), "%.1f s", float64(ms)/1000)
		if most := r.row.rests; r.full && most > 0 && percent == 99 {
			r.expect(ms <= int(most.Milliseconds()), "99 of 100 orders came to rest within %d ms, not %v", ms, most)
		}
	}
	return nil
}

// open counts the orders that are not at rest and the steps that have no outcome.
func (r *run) open(ctx context.Context) (int, error) {
	return r.primary().number(ctx, `SELECT (SELECT count(*) FROM millrace.orders WHERE status IN ('pending', 'processing'))
		+ (SELECT count(*) FROM millrace.order_steps WHERE state = 'pending')`)
}

// readAll reads every order once more for the histories, from an instance that has just started.
func (r *run) readAll(ctx context.Context) error {
	reader, err := r.add(ctx, "reader")
	if err != nil {
		return err
	}
	defer func() {
		reader.Kill()
		r.remove(reader)
	}()
	read := map[string]bool{}
	statuses := map[string]int{}
	for _, o := range r.journal.operations() {
		if o.Kind != opPlace || !o.accepted() || read[o.Order] {
			continue
		}
		read[o.Order] = true
		final := operation{Kind: opRead, Order: o.Order, Call: r.journal.now(), Code: http.StatusOK}
		if err := r.ask(ctx, http.MethodGet, reader.url("/api/orders/"+o.ID), nil, &final.answer); err != nil {
			r.violated("I1", "order %s cannot be read: %v", o.ID, err)
			continue
		}
		final.Return = r.journal.now()
		r.journal.write(final)
		statuses[final.Status]++
	}
	r.figure("orders", "%d", len(read))
	for _, status := range []string{"completed", "failed", "cancelled", "refunded", "needs_attention"} {
		if n := statuses[status]; n > 0 {
			r.figure(status, "%d", n)
		}
	}
	return nil
}

// serve has customers place orders until all are done, while fault runs beside them.
func (r *run) serve(ctx context.Context, l load, fault func(context.Context) error) error {
	customers := r.newCustomers()
	scripts := l.scripts(r.random)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	if fault != nil {
		go func() { failed <- fault(ctx) }()
	} else {
		failed <- nil
	}
	start := time.Now()
	customers.run(ctx, scripts)
	r.figure("load", "%.0f s", time.Since(start).Seconds())
	cancel()
	return <-failed
}

func (r *run) newCustomers() *customers {
	return &customers{
		deployment: r.deployment, journal: r.journal, patience: 2 * time.Minute,
		random: rand.New(rand.NewPCG(r.seed, 1)),
	}
}

// every calls do at random intervals until ctx ends.
func (r *run) every(ctx context.Context, least, most time.Duration, do func() error) error {
	random := rand.New(rand.NewPCG(r.seed, 2))
	for pause(ctx, least+time.Duration(random.Int64N(int64(most-least)+1))) {
		if err := do(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
