package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store"
)

const maxClockSkew = 2 * time.Second

// checkClock reads the database's clock, and fails if this machine's clock differs from it. A clock that is changed
// later does no harm: deadlines are decided by the database's clock.
func checkClock(ctx context.Context, clock *store.Clock, pool *pgxpool.Pool) error {
	if err := clock.Read(ctx, pool); err != nil {
		return err
	}
	if skew := clock.Skew(); skew.Abs() > maxClockSkew {
		return fmt.Errorf("this machine's clock is %s ahead of the database's: correct the clocks", skew.Round(time.Second))
	}
	return nil
}
