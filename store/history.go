package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// History is samples of the whole system over time, for deployments without a Prometheus.
type History struct {
	*database
}

// Resolution is the span of a sample.
type Resolution time.Duration

// The resolutions. Samples are taken every ten seconds, and rolled up into minutes, and minutes into hours.
const (
	TenSeconds = Resolution(10 * time.Second)
	Minute     = Resolution(time.Minute)
	Hour       = Resolution(time.Hour)
)

const (
	// mostMarks bounds the marks of versions.
	mostMarks = 1000
	// sampleMissing is after how long without a sample a process that does not lead takes it.
	sampleMissing = 25 * time.Second
)

// Kept is how long the samples of a resolution are kept. It bounds the table to some 6,000 rows.
func (r Resolution) Kept() time.Duration {
	switch r {
	case TenSeconds:
		return 3 * time.Hour
	case Minute:
		return 2 * 24 * time.Hour
	case Hour:
		return 90 * 24 * time.Hour
	}
	return 0
}

func (r Resolution) begin(t time.Time) time.Time { return t.UTC().Truncate(time.Duration(r)) }

func (r Resolution) seconds() int32 { return int32(time.Duration(r) / time.Second) }

// finer is the resolution that this one is rolled up from.
func (r Resolution) finer() Resolution {
	if r == Hour {
		return Minute
	}
	return TenSeconds
}

// Due reports whether a process should take the sample of the ten seconds before now. The leader does; if it has not
// for a while, any process does.
func (s *History) Due(ctx context.Context, self string, now time.Time) (bool, error) {
	at := TenSeconds.begin(now).Add(-time.Duration(TenSeconds))
	row, err := s.queries.HistoryDue(ctx, s.db, &dbsqlc.HistoryDueParams{
		Resolution: TenSeconds.seconds(), At: at, Self: self,
	})
	if err != nil {
		return false, fmt.Errorf("look for sample: %w", err)
	}
	return row.Missing && (row.Leads || now.Sub(row.Latest) > sampleMissing), nil
}

// Take takes the sample of the ten seconds before now, rolls up the minutes and hours that are over, and deletes what
// is too old. It may be called by several processes at a time.
func (s *History) Take(ctx context.Context, now time.Time, heard Heard) error {
	snapshot, err := (&Processes{s.database}).Snapshot(ctx)
	if err != nil {
		return err
	}
	taken := newSample(TenSeconds.begin(now).Add(-time.Duration(TenSeconds)), snapshot, heard)
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.write(ctx, tx, TenSeconds, []Sample{taken}); err != nil {
			return err
		}
		for _, r := range []Resolution{Minute, Hour} {
			if err := s.rollUp(ctx, tx, r, now); err != nil {
				return err
			}
		}
		return s.prune(ctx, tx, now)
	})
	if err != nil {
		return fmt.Errorf("take sample: %w", err)
	}
	return nil
}

func (s *History) write(ctx context.Context, tx pgx.Tx, r Resolution, list []Sample) error {
	params := &dbsqlc.HistoryWriteParams{Resolution: r.seconds()}
	for _, sample := range list {
		encoded, err := json.Marshal(sample)
		if err != nil {
			return fmt.Errorf("encode sample: %w", err)
		}
		params.At = append(params.At, sample.At)
		params.Samples = append(params.Samples, string(encoded))
	}
	return s.queries.HistoryWrite(ctx, tx, params)
}

// rollUp makes the samples of the spans that are over and have none, from the finer samples that are there. A span
// without a finer sample gets none: then no process ran.
func (s *History) rollUp(ctx context.Context, tx pgx.Tx, r Resolution, now time.Time) error {
	latest, err := s.read(ctx, tx, r, time.Unix(0, 0), r.begin(now), 1)
	if err != nil {
		return err
	}
	since := now.Add(-r.finer().Kept())
	if len(latest) > 0 {
		since = latest[0].At.Add(time.Duration(r))
	}
	if !since.Before(r.begin(now)) {
		return nil
	}
	finer := r.finer()
	samples, err := s.read(ctx, tx, finer, since, r.begin(now), int(finer.Kept()/time.Duration(finer))+1)
	if err != nil || len(samples) == 0 {
		return err
	}
	var rolled []Sample
	for _, sample := range samples {
		at := r.begin(sample.At)
		if last := len(rolled) - 1; last >= 0 && rolled[last].At.Equal(at) {
			rolled[last] = rolled[last].add(sample)
			continue
		}
		sample.At = at
		rolled = append(rolled, sample)
	}
	return s.write(ctx, tx, r, rolled)
}

func (s *History) prune(ctx context.Context, tx pgx.Tx, now time.Time) error {
	for _, r := range []Resolution{TenSeconds, Minute, Hour} {
		err := s.queries.HistoryPrune(ctx, tx, &dbsqlc.HistoryPruneParams{
			Resolution: r.seconds(), Before: now.Add(-r.Kept()),
		})
		if err != nil {
			return err
		}
	}
	return s.queries.VersionMarksPrune(ctx, tx, &dbsqlc.VersionMarksPruneParams{
		Before: now.Add(-Hour.Kept()), Most: mostMarks,
	})
}

// Read reads the latest samples between two moments, oldest first, at most limit of them.
func (s *History) Read(ctx context.Context, r Resolution, since, before time.Time, limit int) ([]Sample, error) {
	samples, err := s.read(ctx, s.db, r, since, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return samples, nil
}

func (s *History) read(
	ctx context.Context, db dbsqlc.DBTX, r Resolution, since, before time.Time, limit int,
) ([]Sample, error) {
	rows, err := s.queries.HistoryRead(ctx, db, &dbsqlc.HistoryReadParams{
		Resolution: r.seconds(), Since: since, Before: before, Most: int32(limit),
	})
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, len(rows))
	for i, row := range rows {
		sample := &samples[len(rows)-1-i]
		if err := json.Unmarshal(row.Sample, sample); err != nil {
			return nil, fmt.Errorf("decode sample: %w", err)
		}
		sample.At = row.At.UTC()
	}
	return samples, nil
}
