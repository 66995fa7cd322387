package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	// ReplicaMaxLag is how far a replica may be behind to answer at all, whatever its caller has seen: callers also
	// hear of orders by ways that have no position, such as webhooks.
	ReplicaMaxLag = 10 * time.Second
	replicaProbe  = time.Second
)

// Why a read came from the primary.
const (
	fallbackNone        = "none"        // the caller has sent no position
	fallbackStale       = "stale"       // no replica has replayed what the caller has seen
	fallbackUnreachable = "unreachable" // no replica answers
	fallbackBusy        = "busy"        // the connections to the replicas are in use
	fallbackFailed      = "failed"      // a replica failed while it was read
)

func fallbacks() []string {
	return []string{fallbackNone, fallbackStale, fallbackUnreachable, fallbackBusy, fallbackFailed}
}

// ReplicasConfig configures Replicas.
type ReplicasConfig struct {
	Primary *Store
	Pools   []*pgxpool.Pool // of NewReplicaPool
	// Oldest returns the oldest transaction that the primary is running, as far as the process knows; false if it does not
	// know. Pages of the feed end before it.
	Oldest     func() (uint64, bool)
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
	Now        func() time.Time      // by which lag is measured. Default time.Now
}

// Replicas answers reads from standbys that have replayed what the caller has seen, and from the primary otherwise.
type Replicas struct {
	config   ReplicasConfig
	primary  timeline
	replicas []*replica
	turn     atomic.Uint64
	current  atomic.Pointer[Position] // of the primary, when it was last probed
	history  lagHistory

	mu         sync.Mutex
	identity   dbsqlc.DatabaseIdentityRow
	identified uint64 // the mark of the timeline on which the identity was read; 0 before

	reads *prometheus.CounterVec
	falls *prometheus.CounterVec
}

// NewReplicas makes Replicas. Run them: until the first probe, all reads come from the primary.
func NewReplicas(c ReplicasConfig) *Replicas {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replicas{config: c, primary: timeline{database: c.Primary.Orders.database}}
	for i, pool := range c.Pools {
		r.replicas = append(r.replicas, &replica{name: fmt.Sprint(i + 1), pool: pool, queries: dbsqlc.New()})
	}
	r.measure(c.Registerer)
	return r
}

// Position returns a position behind everything that was committed before the call. If the primary does not answer, it
// is the zero value: its holder reads from the primary.
func (r *Replicas) Position(ctx context.Context) Position {
	position, err := r.primary.position(ctx)
	if err != nil {
		r.config.Logger.WarnContext(ctx, "position unknown, the caller reads from the primary", "error", err)
		return Position{}
	}
	r.current.Store(&position)
	return position
}

// Read runs fn on a replica that shows everything up to a position and is at most maxLag behind. If there is none, or
// if fn fails there, Read runs fn on the primary: fn must be able to begin again. reached is behind everything that fn
// has seen.
func (r *Replicas) Read(
	ctx context.Context, after Position, maxLag time.Duration, fn func(context.Context, *Store) error,
) (reached Position, err error) {
	reached, reason := r.readReplica(ctx, after, maxLag, fn)
	if reason == "" {
		return reached, nil
	}
	r.falls.WithLabelValues(reason).Inc()
	if err := fn(ctx, r.config.Primary); err != nil {
		return Position{}, err
	}
	return r.Position(ctx), nil
}

// readReplica tries the replicas in turn. reason is why none has answered.
func (r *Replicas) readReplica(
	ctx context.Context, after Position, maxLag time.Duration, fn func(context.Context, *Store) error,
) (reached Position, reason string) {
	current := r.current.Load()
	if after == (Position{}) {
		return after, fallbackNone
	}
	reason = fallbackUnreachable
	switch {
	case current == nil:
		return after, reason
	case after.any:
		after = Position{mark: current.mark}
	case after.mark != current.mark:
		// Of another timeline. Which of the two is the later one, the primary knows.
		return after, fallbackStale
	}
	first := r.turn.Add(1)
	for i := range r.replicas {
		one := r.replicas[(int(first%uint64(len(r.replicas)))+i)%len(r.replicas)] //nolint:gosec // small
		report := one.report()
		if report.state == replicaBehind || report.state == replicaUsed && report.lag > maxLag {
			reason = fallbackStale
		}
		if report.state != replicaUsed || report.lag > maxLag {
			continue
		}
		conn, err := one.acquire(ctx, after)
		switch {
		case errors.Is(err, errBehind):
			reason = fallbackStale
			continue
		case errors.Is(err, errBusy):
			reason = fallbackBusy
			continue
		case err != nil:
			r.setAside(ctx, one, err)
			continue
		}
		lsn, err := one.read(ctx, conn, r.base(), fn)
		switch {
		case err == nil:
			r.reads.WithLabelValues(one.name).Inc()
			return Position{mark: current.mark, lsn: lsn}, ""
		case errors.Is(err, orders.ErrNotFound), errors.Is(err, ErrCursorExpired), errors.Is(err, errBehind):
			return after, fallbackStale // what is missing here may be on the primary
		}
		return after, fallbackFailed
	}
	return after, reason
}

// base is what the nouns of a replica share with those of the primary.
func (r *Replicas) base() *database {
	d := *r.primary.database
	d.standby, d.oldest = true, r.config.Oldest
	return &d
}

// setAside leaves a replica alone until a probe gets an answer.
func (r *Replicas) setAside(ctx context.Context, one *replica, err error) {
	if ctx.Err() != nil {
		return // the caller has left
	}
	r.learn(ctx, one, replicaReport{state: replicaUnreachable, err: err})
}

// learn notes what was found out about a replica, and logs what is new.
func (r *Replicas) learn(ctx context.Context, one *replica, now replicaReport) {
	before := one.state.Swap(&now)
	switch {
	case before != nil && before.state == now.state:
	case now.state == replicaUsed:
		r.config.Logger.InfoContext(ctx, "replica is used", "replica", one.name)
	default:
		r.config.Logger.WarnContext(ctx, "replica is not used", "replica", one.name, "state", string(now.state),
			"error", now.err)
	}
}

// Run probes the replicas until ctx ends.
func (r *Replicas) Run(ctx context.Context) {
	ticker := time.NewTicker(replicaProbe)
	defer ticker.Stop()
	for {
		r.Probe(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Probe finds out which replicas can be used. A replica that does not answer holds up no other.
func (r *Replicas) Probe(ctx context.Context) {
	if position, err := r.primary.position(ctx); err == nil {
		r.current.Store(&position)
		r.history.add(r.config.Now(), position)
	}
	current := r.current.Load()
	if current == nil {
		return
	}
	identity, err := r.identify(ctx, *current)
	if err != nil {
		return
	}
	var all sync.WaitGroup
	for _, one := range r.replicas {
		all.Go(func() {
			lsn, err := one.probe(ctx, identity, *current)
			if ctx.Err() != nil {
				return
			}
			report := replicaReport{state: replicaUsed, err: err}
			if err == nil {
				report.lag = r.history.lag(r.config.Now(), Position{mark: current.mark, lsn: lsn})
			}
			switch {
			case isRefusal(err):
				report.state = replicaRefused
			case errors.Is(err, errBehind), err == nil && report.lag > ReplicaMaxLag:
				report.state = replicaBehind
			case err != nil:
				report.state = replicaUnreachable
			}
			r.learn(ctx, one, report)
		})
	}
	all.Wait()
}

// isRefusal reports whether a server was refused because of what it is.
func isRefusal(err error) bool {
	var setting *SettingError
	var refused *ReplicaError
	return errors.As(err, &setting) || errors.As(err, &refused) || errors.Is(err, errNotStandby)
}

// identify returns which database the primary is. On a new timeline it may be another one.
func (r *Replicas) identify(ctx context.Context, current Position) (dbsqlc.DatabaseIdentityRow, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.identified == current.mark {
		return r.identity, nil
	}
	row, err := r.primary.identity(ctx)
	if err == nil {
		r.identity, r.identified = row, current.mark
	}
	return row, err
}
