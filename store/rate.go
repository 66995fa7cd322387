package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// RateCount is a number of requests by one subject in one segment of time.
type RateCount struct {
	Subject  string    // at most 250 characters
	Segment  time.Time // when the segment begins, in whole microseconds
	Requests int64
	Last     time.Time // when the last of these requests came
}

// Rates counts requests for all processes that use one database.
type Rates struct{ db dbsqlc.DBTX }

// NewRates makes a Rates. Give it a connection that requests do not use: it is needed most when requests use up all
// connections.
func NewRates(db dbsqlc.DBTX) *Rates { return &Rates{db} }

// Count adds requests, each pair of subject and segment once, and returns the totals of the same subjects in all
// segments since a time, in one statement. If it fails, the requests may have been counted.
//
// The table is not logged, so the commit waits for no disk; a crash of the database empties it.
func (r *Rates) Count(ctx context.Context, counts []RateCount, since time.Time) ([]RateCount, error) {
	if len(counts) == 0 {
		return nil, nil
	}
	sorted := slices.SortedFunc(slices.Values(counts), func(a, b RateCount) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), a.Segment.Compare(b.Segment))
	})
	params := &dbsqlc.RateCountParams{Since: since}
	for _, c := range sorted {
		params.Subjects = append(params.Subjects, c.Subject)
		params.SegmentsAt = append(params.SegmentsAt, c.Segment)
		params.Requests = append(params.Requests, c.Requests)
		params.LastAt = append(params.LastAt, c.Last)
	}
	rows, err := dbsqlc.New().RateCount(ctx, r.db, params)
	if err != nil {
		return nil, fmt.Errorf("count requests: %w", classify(err))
	}
	totals := make([]RateCount, len(rows))
	for i, row := range rows {
		totals[i] = RateCount{row.Subject, row.SegmentAt.UTC(), row.Requests, row.LastAt.UTC()}
	}
	return totals, nil
}

// Prune deletes the segments that begin before a time.
func (r *Rates) Prune(ctx context.Context, before time.Time) error {
	if err := dbsqlc.New().RatePrune(ctx, r.db, before); err != nil {
		return fmt.Errorf("prune counts of requests: %w", classify(err))
	}
	return nil
}
