package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/store"
)

const (
	// From here on something must be wrong; docs/metrics.md alerts at the same.
	feedTooFarBehind = 10 * time.Second
	jobTooOld        = time.Minute
)

// systemOperations are the operations on the system as a whole.
func (s *Server) systemOperations() []operation {
	return []operation{s.statusOperation(), s.metricsOperation(), s.reconciliationOperation()}
}

// SystemStatus is how this process and what it shares with others are doing.
type SystemStatus struct {
	Version       string          `json:"version" example:"1.0.0" doc:"The version of Millrace"`
	Instance      string          `json:"instance,omitempty" example:"host_2026_11_22T12_00_00_000000" doc:"The name of the process that answers"`
	StartedAt     time.Time       `json:"startedAt" example:"2026-11-22T12:00:00Z"`
	UptimeSeconds float64         `json:"uptimeSeconds" minimum:"0" example:"3600.5"`
	Leader        string          `json:"leader,omitempty" example:"host_2026_11_22T12_00_00_000000" doc:"The instance that starts the periodic jobs; absent if there is none or it is not known"`
	Degraded      bool            `json:"degraded" example:"false" doc:"Whether there is any reason to look closer. Orders are taken and carried out as far as that goes without"`
	Reasons       []StatusReason  `json:"reasons" doc:"Why it is degraded"`
	Database      DatabaseStatus  `json:"database"`
	Feed          *FeedStatus     `json:"feed,omitempty"`
	Breakers      []BreakerStatus `json:"breakers" doc:"The circuit breakers of this process, by provider; none if it runs no workers"`
	Queues        []QueueStatus   `json:"queues" doc:"By name; of all processes"`
}

// StatusReason is one reason to look closer.
type StatusReason struct {
	Code    ReasonCode `json:"code" example:"breaker_open"`
	Subject string     `json:"subject,omitempty" example:"payment" doc:"Which queue, provider or check it is about"`
}

// ReasonCode says what is not as it should be.
type ReasonCode string

// The reasons.
const (
	reasonDraining     ReasonCode = "draining"
	reasonDatabaseDown ReasonCode = "database_down"
	reasonFeedBehind   ReasonCode = "feed_behind"
	reasonNoLeader     ReasonCode = "no_leader"
	reasonBreakerOpen  ReasonCode = "breaker_open"
	reasonQueuePaused  ReasonCode = "queue_paused"
	reasonQueueBehind  ReasonCode = "queue_behind"
	reasonViolation    ReasonCode = "invariant_violated"
)

// Schema describes it to Huma.
func (ReasonCode) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "ReasonCode", "What is not as it should be. Behind: for more than 10 s (feed), or a minute (queue)",
		[]ReasonCode{
			reasonDraining, reasonDatabaseDown, reasonFeedBehind, reasonNoLeader, reasonBreakerOpen, reasonQueuePaused,
			reasonQueueBehind, reasonViolation,
		})
}

// DatabaseStatus is whether the database answers, and how fast.
type DatabaseStatus struct {
	Status         Condition `json:"status" example:"ok"`
	LatencySeconds float64   `json:"latencySeconds" minimum:"0" example:"0.0007" doc:"How long it took to read one row, or to fail to"`
}

// FeedStatus is how current this process's caches and event streams are.
type FeedStatus struct {
	BehindSeconds float64 `json:"behindSeconds" minimum:"0" example:"0.2" doc:"For how long events may have been left unread"`
}

// BreakerStatus is the state of one circuit breaker.
type BreakerStatus struct {
	Provider string `json:"provider" example:"payment"`
	State    string `json:"state" enum:"closed,half_open,open" example:"closed" doc:"Open: calls wait until the provider has had time to recover"`
}

// QueueStatus is how much work waits in a queue.
type QueueStatus struct {
	Name             string  `json:"name" example:"payment"`
	Paused           bool    `json:"paused" example:"false" doc:"Whether an operator has paused it"`
	Available        int64   `json:"available" minimum:"0" example:"3" doc:"Jobs that wait for a worker. This and the other numbers are counted up to 100,000"`
	Running          int64   `json:"running" minimum:"0" example:"2" doc:"Jobs that are being worked"`
	Retryable        int64   `json:"retryable" minimum:"0" example:"0" doc:"Jobs that failed and wait to be tried again"`
	Scheduled        int64   `json:"scheduled" minimum:"0" example:"0" doc:"Jobs that wait for their time"`
	OldestAgeSeconds float64 `json:"oldestAgeSeconds" minimum:"0" example:"0.1" doc:"For how long the oldest unfinished work has waited, whatever it waits for: of a provider's queue since its step was started, of others since the job could have run; 0 if there is none"`

	behind bool // a job has been ready for long, and no process works it
}

type statusOutput struct{ Body SystemStatus }

func (s *Server) statusOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getSystemStatus", Method: http.MethodGet, Path: "/api/system/status", Tags: []string{tagSystem},
			Summary: "Get the status of the system",
			Description: "Which version runs since when, who leads, how the database, the breakers and the queues are, and " +
				"what is not as it should be. It answers 200 however bad things are: ask /health/ready whether to send " +
				"requests here. What comes from the database may be a second old.",
		},
		permission: permitObserve,
	}, s.status)
}

func (s *Server) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	shared := s.system.get(ctx, s.measureSystem)
	if shared.err != nil {
		exchangeOf(ctx).cause = shared.err
	}
	now := s.config.Now()
	out := SystemStatus{
		Version: s.config.Version, Instance: s.config.Instance, Leader: shared.leader,
		StartedAt: s.started.UTC(), UptimeSeconds: now.Sub(s.started).Seconds(), Reasons: []StatusReason{},
		Database: DatabaseStatus{Status: condition(shared.err), LatencySeconds: shared.latency.Seconds()},
		Breakers: []BreakerStatus{}, Queues: newQueues(shared.queues, now),
	}
	if s.config.Feed != nil {
		out.Feed = &FeedStatus{BehindSeconds: s.config.Feed.Behind().Seconds()}
	}
	if s.config.Breakers != nil {
		states := s.config.Breakers()
		for _, provider := range slices.Sorted(maps.Keys(states)) {
			out.Breakers = append(out.Breakers, BreakerStatus{provider, states[provider]})
		}
	}
	select {
	case <-s.draining:
		out.Reasons = append(out.Reasons, StatusReason{Code: reasonDraining})
	default:
	}
	unled := slices.ContainsFunc(shared.violations, isLeader)
	out.Reasons = append(out.Reasons, out.reasons(unled)...)
	for _, v := range slices.DeleteFunc(slices.Clone(shared.violations), isLeader) {
		out.Reasons = append(out.Reasons, StatusReason{reasonViolation, v.Check})
	}
	out.Degraded = len(out.Reasons) > 0
	return &statusOutput{out}, nil
}

// isLeader reports whether a violation is what the code no_leader says.
func isLeader(v store.Violation) bool { return v.Check == "leader" }

// reasons looks for what is not as it should be.
func (s *SystemStatus) reasons(unled bool) (list []StatusReason) {
	when := func(bad bool, code ReasonCode, subject string) {
		if bad {
			list = append(list, StatusReason{code, subject})
		}
	}
	up := s.Database.Status == conditionOK
	when(!up, reasonDatabaseDown, "")
	when(s.Feed != nil && s.Feed.BehindSeconds > feedTooFarBehind.Seconds(), reasonFeedBehind, "")
	when(up && unled, reasonNoLeader, "")
	for _, b := range s.Breakers {
		when(b.State == "open", reasonBreakerOpen, b.Provider)
	}
	for _, q := range s.Queues {
		when(q.Paused, reasonQueuePaused, q.Name)
		when(!q.Paused && q.behind, reasonQueueBehind, q.Name)
	}
	return list
}

// systemSample is what all processes share.
type systemSample struct {
	leader  string
	latency time.Duration
	queues  []store.Queue

	violations []store.Violation
	err        error
}

func (s *Server) measureSystem(ctx context.Context) (m systemSample) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start := time.Now()
	m.leader, m.err = s.config.Store.Leader(ctx)
	m.latency = time.Since(start)
	if m.err == nil {
		m.queues, m.err = s.config.Store.Queues(ctx)
	}
	if m.err == nil {
		var v store.Verification
		v, m.err = s.config.Store.Standing(ctx)
		m.violations = v.Violations
	}
	return m
}

func newQueues(queues []store.Queue, now time.Time) []QueueStatus {
	list := make([]QueueStatus, len(queues))
	for i, q := range queues {
		list[i] = QueueStatus{
			Name: q.Name, Paused: q.Paused, Available: q.Available, Running: q.Running, Retryable: q.Retryable,
			Scheduled: q.Scheduled,
			behind:    !q.Shut && !q.ReadyAt.IsZero() && now.Sub(q.ReadyAt) > jobTooOld,
		}
		if !q.OldestAt.IsZero() {
			list[i].OldestAgeSeconds = max(now.Sub(q.OldestAt), 0).Seconds()
		}
	}
	return list
}

// sampleFor is how long what was measured stands for what is.
const sampleFor = time.Second

// sample keeps what is costly to measure for a second: however many ask, it is measured once.
type sample[T any] struct {
	now   func() time.Time
	mu    sync.Mutex
	at    time.Time
	value T
}

// get measures unless that was done just now. The measuring does not end with the caller who happened to start it.
func (s *sample[T]) get(ctx context.Context, measure func(context.Context) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.now().Sub(s.at) > sampleFor {
		s.value, s.at = measure(context.WithoutCancel(ctx)), s.now()
	}
	return s.value
}
