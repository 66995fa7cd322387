package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store"
)

const maxClockSkew = 2 * time.Second

// checkClock reads the database's clock, and refuses to work if this machine's differs. One that is set later does no
// harm: what decides about deadlines goes by the database's.
func checkClock(ctx context.Context, clock *store.Clock, pool *pgxpool.Pool) error {
	if err := clock.Read(ctx, pool); err != nil {
		return err
	}
	if skew := clock.Skew(); skew.Abs() > maxClockSkew {
		return fmt.Errorf("this machine's clock is %s ahead of the database's: set them right", skew.Round(time.Second))
	}
	return nil
}
