package board

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// How many rows the overview has of what has a page of its own.
const (
	few       = 5
	mostCause = 100
)

// quick is what changes from second to second.
type quick struct {
	store.Snapshot

	Held   store.Held      // the levers that operators have pulled
	Paused map[string]bool // queues that an operator paused in River UI
}

// slow is what changes rarely, or costs more to read.
type slow struct {
	Verification store.Verification
	Causes       []store.DeadLetterGroup
	Compared     []store.Reconciliation
	Findings     []store.Finding
	Webhooks     []store.Webhook
	due          time.Time // when the message to a webhook that has waited longest became due
	Audit        []store.AuditEntry
	Server       server
	health       store.ServerHealth
}

func (b *board) readQuick(ctx context.Context) (q quick, err error) {
	if q.Snapshot, err = b.config.Store.Processes.Snapshot(ctx); err != nil {
		return q, err
	}
	if q.Held, err = b.config.Store.Levers.Read(ctx); err != nil {
		return q, err
	}
	q.Paused, err = b.config.Store.Queues.Paused(ctx)
	return q, err
}

func (b *board) readSlow(ctx context.Context) (s slow, err error) {
	db := b.config.Store
	if s.Verification, err = db.Verifier.Standing(ctx); err != nil {
		return s, err
	}
	if s.Causes, err = db.DeadLetters.Latest(ctx, mostCause); err != nil {
		return s, err
	}
	if s.Compared, err = db.Findings.Progress(ctx); err != nil {
		return s, err
	}
	if s.Findings, err = db.Findings.List(ctx, store.FindingOpen, mostRows); err != nil {
		return s, err
	}
	if s.Webhooks, err = db.Webhooks.Failing(ctx, mostRows); err != nil {
		return s, err
	}
	if s.health, err = b.config.Server(ctx); err != nil {
		return s, err
	}
	s.Server = newServer(s.health)
	if s.due, err = db.Deliveries.OldestDue(ctx); err != nil {
		return s, err
	}
	s.Audit, err = db.Audit.List(ctx, few)
	return s, err
}

// readHour sums up what happened in the last hour. There is a new sample every ten seconds.
func (b *board) readHour(ctx context.Context) (hour store.Heard, err error) {
	now := b.config.Now()
	samples, err := b.config.Store.History.Read(ctx, store.TenSeconds, now.Add(-time.Hour), now, mostSamples)
	for _, s := range samples {
		hour.Placed += s.Placed
		hour.Completed += s.Completed
		hour.Failed += s.Failed
		hour.Cancelled += s.Cancelled
		hour.DurationP95Seconds = max(hour.DurationP95Seconds, s.DurationP95Seconds)
	}
	return hour, err
}

// overviewData is what the overview shows.
type overviewData struct {
	Seen string // the fingerprint of the rest: a page that has seen it needs no new one
	quick
	slow
	Hour    store.Heard // of the last hour
	Worries []worry
	Ranges  []string
	Range   string
}

// Waiting is a number of unfinished orders.
func (d overviewData) Waiting(status string) int64 { return d.Orders[orders.Status(status)] }

// HourP95 is how long 95 of 100 orders took in the last hour.
func (d overviewData) HourP95() time.Duration {
	return time.Duration(d.Hour.DurationP95Seconds * float64(time.Second))
}

// Found counts the open findings.
func (d overviewData) Found() int64 { return int64(len(d.Findings)) }

// Jobs counts the jobs that a process runs.
func (d overviewData) Jobs(p store.Process) (jobs int) {
	for _, n := range p.Running {
		jobs += n
	}
	return jobs
}

// Rows are the lanes.
func (d overviewData) Rows() (rows []laneRow) {
	for _, lane := range d.Lanes {
		rows = append(rows, newLaneRow(lane, d.quick))
	}
	return rows
}

func (b *board) look(ctx context.Context) (d overviewData, err error) {
	if d.quick, err = b.quick.get(ctx); err != nil {
		return d, err
	}
	if d.slow, err = b.slow.get(ctx); err != nil {
		return d, err
	}
	if d.Hour, err = b.hour.get(ctx); err != nil {
		return d, err
	}
	d.Worries = worries(d.quick, d.slow)
	d.Ranges = ranges()
	return d, d.fingerprint()
}

// fingerprint sums up what the page shows. Times that only say that something is alive are left out: they would make
// every page differ from the one before.
func (d *overviewData) fingerprint() error {
	q := d.quick
	q.At = time.Time{}
	q.Processes = nil
	for _, p := range d.Processes {
		if p.Live {
			p.ReportedAt = time.Time{}
		}
		q.Processes = append(q.Processes, p)
	}
	shown, err := json.Marshal([]any{q, d.slow, d.Hour, d.Worries})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(shown)
	d.Seen = hex.EncodeToString(sum[:8])
	return nil
}

func (b *board) overview(w http.ResponseWriter, r *http.Request) {
	d, err := b.look(r.Context())
	if err != nil {
		b.fail(w, r, err)
		return
	}
	d.Range = rangeOf(r)
	b.show(w, r, http.StatusOK, "overview", "Board", d)
}

// now answers with the part of the overview that changes, or with 204 if the page has seen it.
func (b *board) now(w http.ResponseWriter, r *http.Request) {
	d, err := b.look(r.Context())
	if err != nil {
		b.fail(w, r, err)
		return
	}
	if r.URL.Query().Get("seen") == d.Seen {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.render(w, r, http.StatusOK, "overview", "now", "Board", d)
}
