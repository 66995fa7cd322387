// Package stream keeps answers open. It has the event streams of one order and of the feed, the ring of events that all
// streams of a process share, writers for clients that may read slowly, and slots that divide scarce resources among
// callers.
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

// MediaType is the media type of server-sent events.
const MediaType = "text/event-stream"

// Config configures Streams. Every field is needed, except where its comment makes it optional.
type Config struct {
	// Feed feeds the streams. New subscribes to it, so it must not run yet. May be nil: then open streams look for changes
	// with their heartbeats.
	Feed       *store.Feed
	Encode     Encode
	Heartbeat  time.Duration   // between two comments on an idle stream
	SlowReader time.Duration   // for how long a client may read nothing before it is cut off
	Draining   <-chan struct{} // closed when all streams must end
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
	Panics     prometheus.Counter    // counts a stream that panicked
}

// Streams has all event streams of a process.
type Streams struct {
	config   Config
	hub      *hub
	turns    *turns   // reads of the log for streams that catch up, and for pages
	detached detached // the streams that have left net/http
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

// Listen starts with the events that the feed reads from now on. So a caller that listens first and reads the log
// afterwards misses nothing.
func (s *Streams) Listen(t Topic) *Listener { return s.hub.listen(t) }

// Turn returns how a holder with no other work takes its turns to read the log.
func (s *Streams) Turn(h Holder) Turn { return s.turns.of(h, nil, nil) }

// Wait waits for the streams to end, after Draining was closed. http.Server.Shutdown waits for all later streams.
func (s *Streams) Wait() { s.detached.wait() }

// Client is what a stream knows of its client. It must not keep the request: see detached.take.
type Client struct {
	Holder    Holder // whose turns it takes
	Discreet  bool   // its events do not name the person at the shop who acted
	RequestID string
	Allowed   func(context.Context) error // checks that its credential is still valid
	Leave     func()                      // called when the stream has ended
}

// Source has the content of a stream: what was sent, and what comes next. done means that the stream is complete.
type Source interface {
	topic() Topic
	// catchUp writes a page of the log's events; more reports whether there are more. It takes a turn for the read, and
	// ends the turn before it writes: otherwise clients that read slowly would hold up all others.
	catchUp(ctx context.Context, to *stream) (more, done bool, err error)
	// pass writes events that have just happened. ok is false if events before them are missing, which the log has.
	pass(ctx context.Context, to *stream, items []*item) (ok bool, err error)
	// advance learns that everything up to a position in the log was sent, and returns the bytes that tell the client; nil
	// if the client needs none.
	advance(reached store.Cursor) []byte
}

// Serve answers with the past and future events of a source. If it takes the stream off net/http, it returns before the
// stream ends.
//
//nolint:contextcheck // the stream outlives its request
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, from Source, to Client) {
	detached := false
	defer func() {
		if !detached { // also after a panic
			to.Leave()
		}
	}()
	st := &stream{Streams: s, Writer: NewWriter(w, s.config.SlowReader), Source: from, client: to}
	if err := st.begin(); err != nil || r.Method == http.MethodHead {
		return
	}
	conn, ctx, ok := s.detached.take(r, w)
	if !ok {
		st.follow(r.Context())
		return
	}
	detached = true
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

// rescue is deferred by a stream that has left net/http: its panic would end the process, with all its work. The answer
// breaks off, so that it does not look complete.
func (s *Streams) rescue(st *stream) {
	if v := recover(); v != nil {
		s.config.Panics.Inc()
		s.config.Logger.Error("stream panicked",
			"request_id", st.client.RequestID, "error", v, "stack", string(debug.Stack()))
	}
}
