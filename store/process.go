package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Processes are all processes of the deployment, as they report about themselves. Operators look at them; nothing is
// decided by them. See Instances for the processes with workers.
type Processes struct {
	*database
}

// mostProcesses is how many processes a list has.
const mostProcesses = 200

// Process is one process, and what it reported last.
type Process struct {
	ID        string // as River names it
	Version   string
	Role      string // serve, api or work
	StartedAt time.Time
	ProcessReport

	// Set by List, by the database's clock.
	ReportedAt time.Time
	Live       bool // it has reported within the last 10 s
	Leads      bool // it enqueues the periodic jobs
}

// ProcessReport is what changes about a process.
type ProcessReport struct {
	Running map[string]int               `json:"running,omitempty"` // jobs, by queue
	Lanes   map[orders.Provider]LaneView `json:"lanes,omitempty"`   // none without workers
	// Troubles are sorted by alert. A version before reports none.
	Troubles []Trouble `json:"troubles,omitempty"`
}

// LaneView is what one process has seen of a provider lately.
type LaneView struct {
	Breaker     string        `json:"breaker"` // closed, half_open or open
	InFlight    int           `json:"inFlight,omitempty"`
	Calls       int           `json:"calls,omitempty"` // within the last minutes
	P95         time.Duration `json:"p95,omitempty"`   // of these calls
	LastError   string        `json:"lastError,omitempty"`
	LastErrorAt time.Time     `json:"lastErrorAt,omitzero"`
}

// Report stores what a process reports about itself.
func (s *Processes) Report(ctx context.Context, p Process) error {
	report, err := json.Marshal(p.ProcessReport)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	err = s.queries.ProcessReport(ctx, s.db, &dbsqlc.ProcessReportParams{
		ID: p.ID, Version: p.Version, Role: p.Role, StartedAt: p.StartedAt, Report: report, Silence: interval(silence),
	})
	if err != nil {
		return fmt.Errorf("report process: %w", err)
	}
	return nil
}

// Leave removes a process that ends.
func (s *Processes) Leave(ctx context.Context, id string) error {
	if err := s.queries.ProcessLeave(ctx, s.db, id); err != nil {
		return fmt.Errorf("remove process: %w", err)
	}
	return nil
}

// List lists the processes, oldest first, with those that fell silent within the last hour. now is the database's time.
func (s *Processes) List(ctx context.Context) (list []Process, now time.Time, err error) {
	rows, err := s.queries.ProcessesList(ctx, s.db, &dbsqlc.ProcessesListParams{
		Silence: interval(silence), Most: mostProcesses,
	})
	if err != nil {
		return nil, now, fmt.Errorf("list processes: %w", err)
	}
	list = make([]Process, len(rows))
	for i, row := range rows {
		now = row.Now.UTC()
		list[i] = Process{
			ID: row.ID, Version: row.Version, Role: row.Role, StartedAt: row.StartedAt.UTC(),
			ReportedAt: row.ReportedAt.UTC(), Live: row.Live, Leads: row.Leads,
		}
		if err := json.Unmarshal(row.Report, &list[i].ProcessReport); err != nil {
			return nil, now, fmt.Errorf("decode report: %w", err)
		}
	}
	return list, now, nil
}

// VersionMark is when a process appeared of a version that no other process had.
type VersionMark struct {
	At      time.Time
	Version string
}

// Versions lists when versions appeared since a moment, oldest first, at most limit of them.
func (s *Processes) Versions(ctx context.Context, since time.Time, limit int) ([]VersionMark, error) {
	rows, err := s.queries.VersionMarks(ctx, s.db, &dbsqlc.VersionMarksParams{Since: since, Most: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	marks := make([]VersionMark, 0, len(rows))
	for _, row := range slices.Backward(rows) {
		mark := VersionMark{row.At.UTC(), row.Version}
		if last := len(marks) - 1; last >= 0 && marks[last].Version == mark.Version {
			continue // two processes of one version that started at once
		}
		marks = append(marks, mark)
	}
	return marks, nil
}
