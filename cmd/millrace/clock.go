package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store"
)

const maxClockSkew = 2 * time.Second

// checkClock refuses to work with a clock that differs from the database's: jobs are due by the one and fetched by
// the other, so every step of every order would be late by the difference.
func checkClock(ctx context.Context, pool *pgxpool.Pool) error {
	skew, err := store.ClockSkew(ctx, pool)
	if err != nil {
		return err
	}
	if skew.Abs() > maxClockSkew {
		return fmt.Errorf("this machine's clock is %s ahead of the database's: set them right", skew.Round(time.Second))
	}
	return nil
}
