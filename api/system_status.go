package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	// Beyond these limits something must be wrong. The alerts in docs/metrics.md use the same limits.
	feedTooFarBehind = 10 * time.Second
	jobTooOld        = time.Minute
)

// tagOperations is the group of operators' operations in the document.
const tagOperations = "Operations"

// systemOperations are the operations on the system as a whole.
type systemOperations struct {
	queues   *store.Queues
	holds    *store.Holds
	verifier *store.Verifier
	version  string
	instance string
	breakers func() map[string]string // may be nil
	feed     *store.Feed              // may be nil
	registry prometheus.Gatherer      // may be nil
	now      func() time.Time

	started  time.Time
	leaving  <-chan struct{}
	shared   *sample[systemSample]
	gathered *sample[families]
}

func newSystemOperations(c Config, leaving <-chan struct{}) systemOperations {
	return systemOperations{
		queues: c.Store.Queues, holds: c.Store.Holds, verifier: c.Store.Verifier, version: c.Version,
		instance: c.Instance, breakers: c.Breakers, feed: c.Feed, registry: c.Gatherer,
		now: c.Now, started: c.Now(), leaving: leaving,
		shared: &sample[systemSample]{now: c.Now}, gathered: &sample[families]{now: c.Now},
	}
}

func (o systemOperations) all() []operation {
	return []operation{o.statusOperation(), o.metricsOperation()}
}

// SystemStatus is the state of this process and of what it shares with other processes.
type SystemStatus struct {
	Version       string          `json:"version" example:"1.0.0" doc:"The version of Millrace"`
	Instance      string          `json:"instance,omitempty" example:"host_2026_11_22T12_00_00_000000" doc:"The name of the process that answered"`
	StartedAt     time.Time       `json:"startedAt" example:"2026-11-22T12:00:00Z"`
	UptimeSeconds float64         `json:"uptimeSeconds" minimum:"0" example:"3600.5"`
	Leader        string          `json:"leader,omitempty" example:"host_2026_11_22T12_00_00_000000" doc:"The instance that starts the periodic jobs; absent if there is none or it is unknown"`
	Degraded      bool            `json:"degraded" example:"false" doc:"True if there is any reason to look closer. Millrace goes on taking and carrying out orders as far as it can"`
	Reasons       []StatusReason  `json:"reasons" doc:"Why the system is degraded"`
	Database      DatabaseStatus  `json:"database"`
	Feed          *FeedStatus     `json:"feed,omitempty"`
	Breakers      []BreakerStatus `json:"breakers" doc:"The circuit breakers of this process, by provider; empty if the process runs no workers"`
	Intake        Intake          `json:"intake" doc:"Whether orders are taken"`
	PausedLanes   []PausedLane    `json:"pausedLanes" doc:"The lanes that operators pause, sorted by name"`
	Queues        []QueueStatus   `json:"queues" doc:"The queues of all processes, sorted by name"`
}

// TransformSchema makes the example of the reasons fit a system that is not degraded.
func (SystemStatus) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["reasons"].Examples = []any{[]StatusReason{}}
	return s
}

// StatusReason is one reason to look closer.
type StatusReason struct {
	Code    ReasonCode `json:"code" example:"breaker_open"`
	Subject string     `json:"subject,omitempty" example:"payment" doc:"The queue, provider or check that the reason is about"`
}

// TransformSchema gives the document a reason that has this subject.
func (StatusReason) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{StatusReason{Code: reasonBreakerOpen, Subject: string(orders.Payment)}}
	return s
}

// ReasonCode is a reason to look closer, for programs.
type ReasonCode string

// The reasons.
const (
	reasonDraining     ReasonCode = "draining"
	reasonDatabaseDown ReasonCode = "database_down"
	reasonFeedBehind   ReasonCode = "feed_behind"
	reasonNoLeader     ReasonCode = "no_leader"
	reasonBreakerOpen  ReasonCode = "breaker_open"
	reasonQueuePaused  ReasonCode = "queue_paused"
	reasonLanePaused   ReasonCode = "lane_paused"
	reasonIntakeStop   ReasonCode = "intake_stopped"
	reasonQueueBehind  ReasonCode = "queue_behind"
	reasonViolation    ReasonCode = "invariant_violated"
)

// Schema describes it to Huma.
func (ReasonCode) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "ReasonCode", "A reason to look closer. Behind: for more than 10 seconds (feed) or a minute (queue)",
		[]ReasonCode{
			reasonDraining, reasonDatabaseDown, reasonFeedBehind, reasonNoLeader, reasonBreakerOpen, reasonQueuePaused,
			reasonQueueBehind, reasonViolation, reasonLanePaused, reasonIntakeStop,
		})
}

// DatabaseStatus reports whether the database answers, and how fast.
type DatabaseStatus struct {
	Status         Condition `json:"status" example:"ok"`
	LatencySeconds float64   `json:"latencySeconds" minimum:"0" example:"0.0007" doc:"How long it took to read one row, or until that failed"`
}

// FeedStatus reports how current this process's caches and event streams are.
type FeedStatus struct {
	BehindSeconds float64 `json:"behindSeconds" minimum:"0" example:"0.2" doc:"How long there may have been events that this process has not read"`
}

// PausedLane is a lane that an operator pauses.
type PausedLane struct {
	Lane string `json:"lane" example:"payment"`
	LeverHold
}

// BreakerStatus is the state of one circuit breaker.
type BreakerStatus struct {
	Provider string `json:"provider" example:"payment"`
	State    string `json:"state" enum:"closed,half_open,open" example:"closed" doc:"Open: calls wait, so that the provider has time to recover"`
}

// QueueStatus reports how much work waits in a queue.
type QueueStatus struct {
	Name             string  `json:"name" example:"payment"`
	Paused           bool    `json:"paused" example:"false" doc:"True if an operator has paused the queue"`
	Available        int64   `json:"available" minimum:"0" example:"3" doc:"Jobs that wait for a worker. All of these counts stop at 100,000"`
	Running          int64   `json:"running" minimum:"0" example:"2" doc:"Jobs that a worker is carrying out"`
	Retryable        int64   `json:"retryable" minimum:"0" example:"0" doc:"Jobs that failed and wait for their next attempt"`
	Scheduled        int64   `json:"scheduled" minimum:"0" example:"0" doc:"Jobs that wait for their time"`
	OldestAgeSeconds float64 `json:"oldestAgeSeconds" minimum:"0" example:"0.1" doc:"The age of the oldest unfinished work, whatever it waits for. In a provider's queue it counts from the start of the step, in other queues from the moment the job could run. 0 if there is no work"`

	held   bool // by a lever
	behind bool // a job has been ready for long, and no process carries it out
}

type statusOutput struct{ Body SystemStatus }

func (o systemOperations) statusOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getSystemStatus", Method: http.MethodGet, Path: "/api/system/status", Tags: []string{tagOperations},
			Summary: "Get the status of the system",
			Description: "The version, the uptime, the leader, the state of the database, the breakers and the queues, and " +
				"the reasons to look closer. The answer is 200 even if the system is degraded: ask /health/ready whether to send " +
				"requests to this process. Values from the database may be a second old.",
		},
		permission: permitObserve,
	}, o.status)
}

func (o systemOperations) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	shared := o.shared.get(ctx, o.measureSystem)
	if shared.err != nil {
		exchangeOf(ctx).cause = shared.err
	}
	now := o.now()
	out := SystemStatus{
		Version: o.version, Instance: o.instance, Leader: shared.leader,
		StartedAt: o.started.UTC(), UptimeSeconds: now.Sub(o.started).Seconds(), Reasons: []StatusReason{},
		Database: DatabaseStatus{Status: condition(shared.err), LatencySeconds: shared.latency.Seconds()},
		Breakers: []BreakerStatus{}, Queues: newQueues(shared.queues, now), Intake: newIntake(o.holds),
		PausedLanes: pausedLanes(o.holds),
	}
	if o.feed != nil {
		out.Feed = &FeedStatus{BehindSeconds: o.feed.Behind().Seconds()}
	}
	if o.breakers != nil {
		states := o.breakers()
		for _, provider := range slices.Sorted(maps.Keys(states)) {
			out.Breakers = append(out.Breakers, BreakerStatus{provider, states[provider]})
		}
	}
	select {
	case <-o.leaving:
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

func pausedLanes(holds *store.Holds) []PausedLane {
	list := []PausedLane{}
	for _, lane := range slices.Sorted(slices.Values(orders.Providers())) {
		if hold := newLeverHold(holds.Lane(lane)); hold != nil {
			list = append(list, PausedLane{string(lane), *hold})
		}
	}
	return list
}

// isLeader reports whether a violation is the one that the code no_leader stands for.
func isLeader(v store.Violation) bool { return v.Check == "leader" }

// reasons returns the reasons to look closer.
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
	when(s.Intake.Stopped, reasonIntakeStop, "")
	for _, l := range s.PausedLanes {
		when(true, reasonLanePaused, l.Lane)
	}
	for _, q := range s.Queues {
		when(q.Paused && !q.held, reasonQueuePaused, q.Name)
		when(!q.Paused && q.behind, reasonQueueBehind, q.Name)
	}
	return list
}

func newQueues(queues []store.Queue, now time.Time) []QueueStatus {
	list := make([]QueueStatus, len(queues))
	for i, q := range queues {
		list[i] = QueueStatus{
			Name: q.Name, Paused: q.Paused || q.Held, held: q.Held && !q.Paused,
			Available: q.Available, Running: q.Running, Retryable: q.Retryable, Scheduled: q.Scheduled,
			behind: !q.Shut && !q.ReadyAt.IsZero() && now.Sub(q.ReadyAt) > jobTooOld,
		}
		if !q.OldestAt.IsZero() {
			list[i].OldestAgeSeconds = max(now.Sub(q.OldestAt), 0).Seconds()
		}
	}
	return list
}
