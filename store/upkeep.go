package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// mostUpkeepError bounds the stored error of the upkeep, in characters.
const mostUpkeepError = 500

// Upkept returns when the log's upkeep last succeeded; zero if it never did.
func (s *Log) Upkept(ctx context.Context) (time.Time, error) {
	at, err := s.queries.LogUpkept(ctx, s.db)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read upkeep of log: %w", err)
	}
	return at.UTC(), nil
}

// noteUpkeep stores the result of the log's upkeep. An upkeep that ended because its process is stopping has not
// failed.
func (s *Log) noteUpkeep(ctx context.Context, errs ...error) error {
	failed := errors.Join(errs...)
	if failed != nil && errors.Is(ctx.Err(), context.Canceled) {
		return failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partitionTimeout)
	defer cancel()
	var err error
	if failed == nil {
		err = s.queries.LogUpkeepSucceeded(ctx, s.patient)
	} else {
		passing := !slices.ContainsFunc(errs, func(err error) bool { return err != nil && !errors.Is(err, ErrUnavailable) })
		text := []rune(strings.ToValidUTF8(failed.Error(), "?"))
		err = s.queries.LogUpkeepFailed(ctx, s.patient, &dbsqlc.LogUpkeepFailedParams{
			Error: string(text[:min(len(text), mostUpkeepError)]), Passing: passing,
		})
	}
	if err != nil {
		err = fmt.Errorf("note upkeep of log: %w", err)
	}
	return errors.Join(failed, err)
}
