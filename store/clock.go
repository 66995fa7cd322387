package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	// mostCorrection is the largest difference from the database's clock that is corrected at once.
	mostCorrection = 2 * time.Second
	// believeAfter is how long a larger difference has to last before it is corrected.
	believeAfter = 10 * time.Second
	// correctOneIn limits a correction to a tenth of the time that has passed, so that the clock never runs backwards.
	correctOneIn = 10
)

// ClockConfig configures a Clock.
type ClockConfig struct {
	Wall func() time.Time // this machine's clock; default time.Now
	// Elapsed is a monotonic clock: setting the wall clock does not change it. Default: time since NewClock.
	Elapsed    func() time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// Clock is an estimate of the database's clock: the database's time at the latest readings, plus the monotonic time
// since. So all processes measure deadlines by one clock, and setting a machine's wall clock while a process runs
// changes nothing. The Clock goes on while the database does not answer. Before the first reading it starts from the
// machine's wall clock.
//
// It is safe for concurrent use.
type Clock struct {
	config ClockConfig
	offset atomic.Int64 // added to the elapsed time, it gives the time since 1970
	skew   atomic.Int64

	mu     sync.Mutex
	set    bool
	readAt time.Duration // the elapsed time of the latest reading
	// doubted is a reading that differs too much to be followed at once. nil: there is none.
	doubted *doubtedClock
}

type doubtedClock struct {
	since  time.Duration
	offset time.Duration
}

// NewClock makes a Clock that has not yet read the database's clock.
func NewClock(c ClockConfig) *Clock {
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.Elapsed == nil {
		begun := time.Now()
		c.Elapsed = func() time.Duration { return time.Since(begun) }
	}
	clock := &Clock{config: c}
	clock.offset.Store(c.Wall().UnixNano() - int64(c.Elapsed()))
	if c.Registerer != nil {
		c.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "millrace_clock_skew_seconds", Help: "How far this machine's clock is ahead of the database's.",
		}, func() float64 { return clock.Skew().Seconds() }))
	}
	return clock
}

// Now returns the database's time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.offset.Load()+int64(c.config.Elapsed())) }

// Skew returns how far this machine's clock was ahead of the database's at the latest reading. Half of the reading's
// round trip is the error.
func (c *Clock) Skew() time.Duration { return time.Duration(c.skew.Load()) }

// Read asks the database for its time.
func (c *Clock) Read(ctx context.Context, db dbsqlc.DBTX) error {
	begun := c.config.Elapsed()
	at, err := dbsqlc.New().Now(ctx, db)
	if err != nil {
		return fmt.Errorf("read clock: %w", classify(err))
	}
	c.observe(ctx, begun, c.config.Elapsed(), at)
	return nil
}

// observe takes in a reading. The database read its clock between begun and ended, so every offset between two bounds
// agrees with the reading. The correction goes to the bound that is nearest to the clock: a slow round trip corrects
// nothing.
func (c *Clock) observe(ctx context.Context, begun, ended time.Duration, at time.Time) {
	wall := c.config.Wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Duration(at.UnixNano())
	low, high := since-ended, since-begun
	middle := low + (high-low)/2
	slow := high-low > mostCorrection
	if !c.set {
		c.offset.Store(int64(middle))
		c.set, c.readAt = !slow, ended
	}
	if slow {
		return // the bounds are too far apart to confirm anything
	}
	c.skew.Store(int64(time.Duration(wall.UnixNano()) - ended - middle))

	now := time.Duration(c.offset.Load())
	correction := min(max(now, low), high) - now
	switch doubted := c.doubted; {
	case correction.Abs() <= mostCorrection:
		if doubted != nil {
			c.config.Logger.InfoContext(ctx, "the database's clock is right again")
		}
		c.doubted = nil
		most := max(ended-c.readAt, 0) / correctOneIn
		c.offset.Add(int64(min(max(correction, -most), most)))
	case doubted == nil:
		c.config.Logger.WarnContext(ctx, "the database's clock has jumped, or this machine stood still; "+
			"deadlines are kept by the old one for now", "seconds", correction.Seconds())
		c.doubted = &doubtedClock{ended, middle}
	case (middle - doubted.offset).Abs() > mostCorrection:
		c.doubted = &doubtedClock{ended, middle}
	case ended-doubted.since >= believeAfter:
		c.config.Logger.WarnContext(ctx, "deadlines are kept by the database's clock as it is now",
			"seconds", correction.Seconds())
		c.offset.Store(int64(middle))
		c.doubted = nil
	}
	c.readAt = max(c.readAt, ended)
}
