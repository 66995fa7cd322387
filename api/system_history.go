package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	historyLimit = 1500
	historyMarks = 100
)

// SystemHistory is the state of the system over time.
type SystemHistory struct {
	Resolution string          `json:"resolution" enum:"10s,1m,1h" example:"1m" doc:"The span of a sample"`
	Samples    []HistorySample `json:"samples" doc:"The samples, oldest first. A span in which no process with workers ran has none"`
	Versions   []VersionMark   `json:"versions" doc:"When versions appeared since the first sample, oldest first, at most the latest 100"`
}

// HistorySample is the state of the system in one span of time.
type HistorySample struct {
	At             time.Time     `json:"at" example:"2026-11-22T12:00:00Z" doc:"When the span begins"`
	Pending        int64         `json:"pending" minimum:"0" example:"3" doc:"Pending orders, the highest of the span, up to 100,000"`
	Processing     int64         `json:"processing" minimum:"0" example:"12" doc:"Likewise of orders that are processing"`
	NeedsAttention int64         `json:"needsAttention" minimum:"0" example:"0" doc:"Likewise of orders that need attention"`
	Placed         int64         `json:"placed" minimum:"0" example:"120" doc:"Orders that were placed in the span"`
	Completed      int64         `json:"completed" minimum:"0" example:"117" doc:"Orders that completed in the span"`
	Failed         int64         `json:"failed" minimum:"0" example:"2"`
	Cancelled      int64         `json:"cancelled" minimum:"0" example:"1"`
	Refunded       int64         `json:"refunded" minimum:"0" example:"0"`
	DurationP95    float64       `json:"durationP95Seconds" minimum:"0" example:"0.41" doc:"95 of 100 orders that ended took at most this long, the highest of the span"`
	Processes      int           `json:"processes" minimum:"0" example:"2" doc:"Live processes, the lowest of the span"`
	Lanes          []HistoryLane `json:"lanes" doc:"The providers"`
}

// HistoryLane is one provider's part of a sample. Each value is the highest of the span.
type HistoryLane struct {
	Provider         string  `json:"provider" example:"payment"`
	Backlog          int64   `json:"backlog" minimum:"0" example:"7" doc:"Steps that have begun and have no outcome, up to 100,000 of each kind"`
	InFlight         int     `json:"inFlight" minimum:"0" example:"3" doc:"Calls under way"`
	OldestAgeSeconds float64 `json:"oldestAgeSeconds" minimum:"0" example:"0.2" doc:"How long a step has had no outcome"`
	P95Seconds       float64 `json:"p95Seconds" minimum:"0" example:"0.12" doc:"95 of 100 calls of the last five minutes took at most this long, in the slowest process"`
	Open             bool    `json:"open" example:"false" doc:"True if the breaker was not closed in a process"`
}

// VersionMark is when a version of Millrace appeared.
type VersionMark struct {
	At      time.Time `json:"at" example:"2026-11-22T11:58:00Z"`
	Version string    `json:"version" example:"1.1.0"`
}

type historyInput struct {
	Resolution string    `query:"resolution" enum:"10s,1m,1h" default:"1m" doc:"The span of a sample. Samples of 10 seconds are kept for 3 hours, of a minute for 2 days, of an hour for 90 days"`
	From       time.Time `query:"from" example:"2026-11-22T00:00:00Z" doc:"Only samples that begin at this moment or later"`
	To         time.Time `query:"to" example:"2026-11-23T00:00:00Z" doc:"Only samples that begin before this moment"`
	Limit      int       `query:"limit" minimum:"1" maximum:"1500" default:"360" doc:"The largest number of samples: the latest ones"`
	PositionParam
}

type historyOutput struct{ Body SystemHistory }

// historyOperations are the operations on the history of the system.
type historyOperations struct{ reads reads }

func (o historyOperations) all() []operation { return []operation{o.historyOperation()} }

func (o historyOperations) historyOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getSystemHistory", Method: http.MethodGet, Path: "/api/system/history", Tags: []string{tagOperations},
			Summary: "Get the history of the system",
			Description: "Samples of the whole system over time: orders, providers, processes, and when a new version " +
				"appeared. A process with workers takes a sample every ten seconds. Samples are rolled up into minutes and hours.",
		},
		permission: permitObserve,
	}, o.history)
}

// resolutionOf returns the resolution that a request names.
func resolutionOf(name string) store.Resolution {
	switch name {
	case "10s":
		return store.TenSeconds
	case "1h":
		return store.Hour
	}
	return store.Minute
}

func (o historyOperations) history(ctx context.Context, in *historyInput) (*historyOutput, error) {
	to := in.To
	if to.IsZero() {
		to = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	resolution := resolutionOf(in.Resolution)
	var samples []store.Sample
	var marks []store.VersionMark
	err := o.reads.from(ctx, in.PositionParam, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) (err error) {
		samples, err = s.History.Read(ctx, resolution, in.From, to, min(in.Limit, historyLimit))
		if err != nil || len(samples) == 0 {
			return err
		}
		marks, err = s.Processes.Versions(ctx, samples[0].At, historyMarks)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := SystemHistory{
		Resolution: in.Resolution, Samples: make([]HistorySample, len(samples)), Versions: []VersionMark{},
	}
	for i, sample := range samples {
		out.Samples[i] = newHistorySample(sample)
	}
	for _, mark := range marks {
		if mark.At.Before(to) {
			out.Versions = append(out.Versions, VersionMark{mark.At, mark.Version})
		}
	}
	return &historyOutput{out}, nil
}

func newHistorySample(sample store.Sample) HistorySample {
	out := HistorySample{
		At: sample.At, Pending: sample.Pending, Processing: sample.Processing, NeedsAttention: sample.NeedsAttention,
		Placed: sample.Placed, Completed: sample.Completed, Failed: sample.Failed, Cancelled: sample.Cancelled,
		Refunded: sample.Refunded, DurationP95: sample.DurationP95Seconds, Processes: sample.Processes,
		Lanes: []HistoryLane{},
	}
	for _, provider := range orders.Providers() {
		lane := sample.Lanes[provider]
		out.Lanes = append(out.Lanes, HistoryLane{
			Provider: string(provider), Backlog: lane.Backlog, InFlight: lane.InFlight,
			OldestAgeSeconds: lane.OldestAgeSeconds, P95Seconds: lane.P95Seconds, Open: lane.Open,
		})
	}
	return out
}
