// Package stream keeps answers open: event streams of one order and of the feed, what all of them hear (one ring for a
// process), how they are written to clients that may read slowly, and how callers share what there is only so much of.
//
// It knows neither operations nor the form of an event on the wire: its sources take functions that read the log, and
// an encoder. api declares the operations that answer with streams.
package stream

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
)

// MediaType is that of server-sent events.
const MediaType = "text/event-stream"

// Config says what streams work with. All of it is needed, but where it says so.
type Config struct {
	// Feed is what streams are fed from. New subscribes to it, so it must not run yet. May be nil: then open streams look
	// for changes with their heartbeats.
	Feed       *store.Feed
	Encode     Encode
	Heartbeat  time.Duration   // between two comments on an idle stream
	SlowReader time.Duration   // for how long a client may take nothing before it is cut off
	Draining   <-chan struct{} // closed when all streams are to end
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
	Panics     prometheus.Counter    // counts a stream that panicked
}

// Streams is all event streams of a process.
type Streams struct {
	config   Config
	hub      *hub
	turns    *turns   // reads of the log for streams that catch up, and for pages
	detached detached // the streams that net/http knows nothing of
	catchUps prometheus.Counter
}

// New makes Streams.
func New(c Config) *Streams {
	s := &Streams{
		config: c, hub: newHub(c.Encode), turns: newTurns(catchUpReads, c.Draining),
		catchUps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_stream_catch_ups_total",
			Help: "Times that an event stream read the log: when it began, and after it fell behind.",
		}),
	}
	if c.Registerer != nil {
		c.Registerer.MustRegister(s.catchUps, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "millrace_log_reads_waiting", Help: "Event streams and pages that wait for their turn to read the log.",
		}, func() float64 { return float64(s.turns.waiting()) }))
	}
	if c.Feed != nil {
		c.Feed.Subscribe(s.hub.follow)
	}
	return s
}

// Listen begins with what the feed reads from now on: a caller that listens first and reads the log then misses
// nothing.
func (s *Streams) Listen(t Topic) *Listener { return s.hub.listen(t) }

// Turn returns how a holder that has nothing else to do takes its turns to read the log.
func (s *Streams) Turn(h Holder) Turn { return s.turns.of(h, nil, nil) }

// Wait waits for the streams to end, after Draining was closed. Those that come later are up to http.Server.Shutdown.
func (s *Streams) Wait() { s.detached.wait() }

// Client is what a stream knows of its client. It holds on to nothing of the request: see detached.take.
type Client struct {
	Holder    Holder // whose turns it takes
	Discreet  bool   // it is not told which of the shop's people did something
	RequestID string
	Allowed   func(context.Context) error // whether its credential still holds
	Leave     func()                      // called when the stream has ended
}

// Source is what a stream is of: it knows what was sent, and what comes next. done means that there will be no more.
type Source interface {
	topic() Topic
	// catchUp writes a page of what the log has; more says that there is more. It takes a turn for the read, and ends the
	// turn before it writes: or clients that read slowly would hold up all others.
	catchUp(ctx context.Context, to *stream) (more, done bool, err error)
	// pass writes what has just happened. ok is false if something is missing in between, which the log has.
	pass(ctx context.Context, to *stream, items []*item) (ok bool, err error)
	// advance hears that everything up to a place in the log has been sent, and returns how to tell the client; nil if
	// that needs no telling.
	advance(reached store.Cursor) []byte
}

// Serve answers with what a source has and will have. It returns before the stream ends if it takes it off net/http.
//
//nolint:contextcheck // the stream outlives its request
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, from Source, to Client) {
	st := &stream{Streams: s, Writer: NewWriter(w, s.config.SlowReader), Source: from, client: to}
	if err := st.begin(); err != nil || r.Method == http.MethodHead {
		to.Leave()
		return
	}
	conn, ctx, ok := s.detached.take(r, w)
	if !ok {
		defer to.Leave()
		st.follow(r.Context())
		return
	}
	answer := chunked{conn}
	st.Writer = NewWriter(answer, s.config.SlowReader)
	go func() {
		defer s.detached.running.Done()
		defer to.Leave()
		defer conn.Close()
		defer s.rescue(st)
		st.follow(ctx)
		answer.end(s.config.SlowReader)
	}()
}

// rescue is deferred by a stream that net/http does not rescue: its panic would end the process, with all its work. The
// answer is broken off: it must not look complete.
func (s *Streams) rescue(st *stream) {
	if v := recover(); v != nil {
		s.config.Panics.Inc()
		s.config.Logger.Error("stream panicked",
			"request_id", st.client.RequestID, "error", v, "stack", string(debug.Stack()))
	}
}
