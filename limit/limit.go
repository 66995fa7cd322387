// Package limit decides whether a subject has sent too many requests. It counts in memory and shares its counts through
// the database, a few times a second for all subjects at once. So no request waits for the database or causes a write.
//
// It imports store for the type of a count only: the function that shares the counts is passed in. api uses it.
package limit

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
)

const (
	// segments is the number of segments in a window. More would forget requests more exactly, and take more memory.
	segments = 6

	defaultWindow      = time.Minute
	defaultFlushEvery  = 250 * time.Millisecond
	defaultMaxSubjects = 50_000 // 30 MB at most
	maxName            = 200    // bytes
)

// Config configures a Limiter.
type Config struct {
	// Window is the time in which a subject may send its limit of requests. Default one minute.
	Window time.Duration
	// Share adds counts to those of all processes and returns the totals of the same subjects since a time:
	// store.Rates.Count. If nil, this process counts alone.
	Share func(ctx context.Context, counts []store.RateCount, since time.Time) ([]store.RateCount, error)
	// Prune deletes shared counts from before a time. May be nil.
	Prune func(ctx context.Context, before time.Time) error
	// FlushEvery is the least time between two calls of Share. Default 250 ms.
	FlushEvery time.Duration
	// MaxSubjects bounds the memory. Default 50,000.
	MaxSubjects int
	Now         func() time.Time // default time.Now
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // may be nil
}

// Limiter is a sliding window of six segments, shared by processes. It is safe for concurrent use.
//
// One process never admits more than the limit in any span of one window, wherever the span begins. Time is cut into
// segments of a sixth of the window. All requests of a segment are forgotten together, one window after the last of
// them. So a request counts for at least one window, and for at most a sixth longer. The error can only refuse too
// much.
//
// N processes share their counts. Each decides on the totals that it has read, plus what it has counted since. One
// statement writes the new counts and reads the totals. It runs as soon as there is something to write, but at most
// once per FlushEvery (f). Let d be its duration. When the total of a subject reaches the limit in the database, each
// process learns this from its first flush afterwards. The requests that it still admits fall into one span of f+d. So
// the processes together exceed the limit by at most what each of them admits in one such span. For a subject that
// sends evenly, that is f+d of its own rate, and never more than N-1 times the limit.
//
// A flush whose answer was lost is repeated and may count twice, for one window. The processes' clocks must agree: if
// they differ by s, a request counts s longer or shorter.
//
// While the database does not answer, every process decides on what it knows, and never waits. The bound is then N
// times the limit. The same holds after a crash of the database, which loses the counts; no process loses its own.
type Limiter struct {
	config  Config
	segment time.Duration
	flushed *prometheus.HistogramVec
	pending chan struct{} // holds a token while there is something to flush

	mu       sync.Mutex
	subjects map[string]*subject
	reserved map[string]int      // unfinished requests that Reserve admitted, by subject
	ranking  ranking             // the same subjects
	pruned   time.Time           // when prune ran last
	unsent   map[string]struct{} // subjects with unshared requests
	failing  bool
}

// New makes a Limiter. It shares counts, and forgets idle subjects, while Run runs.
func New(c Config) *Limiter {
	if c.Window == 0 {
		c.Window = defaultWindow
	}
	if c.FlushEvery == 0 {
		c.FlushEvery = defaultFlushEvery
	}
	if c.MaxSubjects == 0 {
		c.MaxSubjects = defaultMaxSubjects
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	flushed := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_rate_flush_duration_seconds", Help: "Time to share request counts with other processes.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
	}, []string{"outcome"})
	if c.Registerer != nil {
		c.Registerer.MustRegister(flushed)
	}
	return &Limiter{
		config: c, segment: (c.Window / segments).Truncate(time.Microsecond), flushed: flushed,
		pending:  make(chan struct{}, 1),
		subjects: make(map[string]*subject), reserved: make(map[string]int), unsent: make(map[string]struct{}),
	}
}

// Window returns the time in which a subject may send its limit.
func (l *Limiter) Window() time.Duration { return l.config.Window }

// Decision is the answer to one request.
type Decision struct {
	Allowed   bool
	Remaining int // requests that would be allowed now
	// Reset is the time until more requests are allowed than now: more than 0 and at most one window.
	Reset time.Duration
}

// Allow decides on one request by a subject that may send limit requests per window, and counts the request if it is
// allowed. Refused requests are not counted, so retrying does not prolong the wait.
func (l *Limiter) Allow(name string, limit int) Decision {
	name = key(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s := l.find(name, now)
	s.forget(now.Add(-l.config.Window))
	used := s.requests()
	if used >= limit {
		return Decision{Reset: l.reset(s, used-limit+1, now)}
	}
	s.add(now.Truncate(l.segment), now)
	l.rank(s)
	if l.config.Share != nil {
		l.unsent[name] = struct{}{}
		l.wake()
	}
	return Decision{Allowed: true, Remaining: limit - used - 1, Reset: l.reset(s, 1, now)}
}

// reset returns the time until n requests are forgotten.
func (l *Limiter) reset(s *subject, n int, now time.Time) time.Duration {
	return min(max(s.free(n).Add(l.config.Window).Sub(now), time.Microsecond), l.config.Window)
}

// now returns the time with the database's precision.
func (l *Limiter) now() time.Time { return l.config.Now().UTC().Truncate(time.Microsecond) }

// key returns a name unchanged, unless the database would reject it: one such name would stop the sharing of all
// counts.
func key(name string) string {
	if name != "" && len(name) <= maxName && utf8.ValidString(name) && strings.IndexByte(name, 0) < 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// find returns a subject. If it is new and there is no room, the subject with the fewest requests is forgotten. So a
// subject can lose its count by sending under other names only if it sends as much under every other name in memory.
func (l *Limiter) find(name string, now time.Time) *subject {
	if s, ok := l.subjects[name]; ok {
		return s
	}
	if len(l.subjects) >= l.config.MaxSubjects && now.Sub(l.pruned).Abs() >= l.segment {
		l.prune(now) // subjects whose requests have expired go first
	}
	if len(l.subjects) >= l.config.MaxSubjects {
		l.remove(l.ranking[0])
	}
	s := &subject{name: name}
	l.subjects[name] = s
	heap.Push(&l.ranking, s)
	return s
}

// prune forgets expired requests, and subjects without any other requests.
func (l *Limiter) prune(now time.Time) {
	l.pruned = now
	for _, s := range l.subjects {
		if s.forget(now.Add(-l.config.Window)); len(s.segments) == 0 {
			l.remove(s)
		} else {
			l.rank(s)
		}
	}
}

// rank moves a subject to its place. It must be called after requests were added. prune corrects a place that is too
// high because requests have expired.
func (l *Limiter) rank(s *subject) {
	s.ranked = s.requests()
	heap.Fix(&l.ranking, s.place)
}

func (l *Limiter) remove(s *subject) {
	heap.Remove(&l.ranking, s.place)
	delete(l.subjects, s.name)
	delete(l.unsent, s.name)
}
