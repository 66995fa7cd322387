package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Limits from which periodic work counts as missing. The time before a process could have done the work does not count:
// a deployment that was stopped has missed nothing.
const (
	// leaderPatience is how long processes may run without a leader. After a crash it takes 15 s to elect one.
	leaderPatience = 30 * time.Second
	// verifyPeriods and verifyPatience bound the age of the latest verification.
	verifyPeriods  = 5
	verifyPatience = 5 * time.Minute
	// upkeepPatience is two periods of the log's upkeep, and the time that the second upkeep may take.
	upkeepPatience = 2*time.Hour + LogUpkeepTimeout
	// partitionGrace is how long the upkeep may take to make a partition once its processes run.
	partitionGrace = 15 * time.Minute
	// partitionAhead is how long before its week a partition must exist: two hours after the week before has begun.
	partitionAhead = week - 2*time.Hour
)

// vigilChecks are the checks of Vigil.
func vigilChecks() []string {
	return []string{checkLeader, checkVerification, checkUpkeep, checkSchema}
}

// Vigil looks for what keeps verification from running, or makes its results unreliable. It does not depend on a
// verification.
func (s *Verifier) Vigil(ctx context.Context) ([]Violation, error) {
	v := &verification{verifier: s, found: map[string]*Violation{}}
	if err := v.vigil(ctx, s.db); err != nil {
		return nil, fmt.Errorf("look for periodic work: %w", err)
	}
	return v.violations(), nil
}

// Standing is the latest verification, with the present results of Vigil in place of the verification's own.
func (s *Verifier) Standing(ctx context.Context) (Verification, error) {
	v, err := s.Last(ctx)
	if err != nil {
		return v, err
	}
	now, err := s.Vigil(ctx)
	if err != nil {
		return v, err
	}
	kept := slices.DeleteFunc(v.Violations, func(found Violation) bool {
		return slices.Contains(vigilChecks(), found.Check)
	})
	v.Violations = nil
	for _, check := range Checks() {
		for _, found := range slices.Concat(kept, now) {
			if found.Check == check.Name {
				v.Violations = append(v.Violations, found)
			}
		}
	}
	return v, nil
}

func (v *verification) vigil(ctx context.Context, db dbsqlc.DBTX) error {
	row, err := v.verifier.queries.Vigil(ctx, db, &dbsqlc.VigilParams{
		Silence: interval(silence), Ahead: interval(partitionAhead),
	})
	if err != nil {
		return err
	}
	v.leader(row)
	if !v.options.Periodic {
		v.verified(row)
	}
	v.upkeep(row)
	return v.schema(ctx, db)
}

func (v *verification) leader(row dbsqlc.VigilRow) {
	unled := row.At.Sub(row.UnledSince)
	switch {
	case row.Led || row.Live > 0 && unled < leaderPatience:
	case row.Leader == "":
		v.report(checkLeader, orders.ID{}, "no process leads")
	default:
		v.report(checkLeader, orders.ID{}, "%q leads, which is not a living process of this deployment", row.Leader)
	}
}

func (v *verification) verified(row dbsqlc.VigilRow) {
	every := time.Duration(row.VerifyEvery * float64(time.Second))
	if every == 0 {
		return // no living process is configured to verify
	}
	limit := max(verifyPeriods*every, verifyPatience)
	switch {
	case row.At.Sub(row.VerifyingSince) <= limit || row.At.Sub(row.VerifiedAt) <= limit:
	case row.VerifiedAt.Equal(time.Unix(0, 0)):
		v.report(checkVerification, orders.ID{}, "there was none in %s", age(row.At, row.VerifyingSince))
	default:
		v.report(checkVerification, orders.ID{}, "the last one is %s old", age(row.At, row.VerifiedAt))
	}
}

func (v *verification) upkeep(row dbsqlc.VigilRow) {
	if row.UpkeepError != "" {
		failing := row.At.Sub(row.UpkeepFailingSince)
		if !row.UpkeepPassing || failing > upkeepPatience {
			v.report(checkUpkeep, orders.ID{}, "it has failed for %s: %s", failing.Round(time.Second), row.UpkeepError)
		}
	} else if row.Live > 0 && row.At.Sub(row.LiveSince) > upkeepPatience && row.At.Sub(row.UpkeptAt) > upkeepPatience {
		v.report(checkUpkeep, orders.ID{}, "it has not run in %s", age(row.At, row.LiveSince))
	}
	if row.PartitionsMissing > 0 && (row.Live == 0 || row.At.Sub(row.LiveSince) > partitionGrace) {
		v.report(checkUpkeep, orders.ID{}, "the log has no partition of this week or of the next: their events go into the "+
			"default partition")
	}
}

func (v *verification) schema(ctx context.Context, db dbsqlc.DBTX) error {
	err := newer(ctx, v.verifier.queries, db)
	if refusal, ok := errors.AsType[*SchemaError](err); ok {
		v.report(checkSchema, orders.ID{}, "%s", refusal.Reason)
		return nil
	}
	return err
}

func age(now, then time.Time) time.Duration { return now.Sub(then).Round(time.Second) }
