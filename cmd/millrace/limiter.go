package main

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
)

// startLimiter starts the rate limiter. It shares the feed's connections, which requests do not use up.
func (n *node) startLimiter(pool *pgxpool.Pool) *limit.Limiter {
	if n.config.limits.none() {
		return nil
	}
	rates := store.NewRates(pool)
	limiter := limit.New(limit.Config{
		Window: n.config.api.RateWindow, Now: n.clock.Now, Share: rates.Count, Prune: rates.Prune, Logger: n.logger,
		Registerer: n.registry,
	})
	n.background(limiter.Run)
	return limiter
}
