package main

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
)

// startLimiter starts the rate limiter, even if there are no limits yet: a reload may bring some. It shares the feed's
// connections, which requests do not use up.
func (n *node) startLimiter(pool *pgxpool.Pool) *limit.Limiter {
	rates := store.NewRates(pool)
	limiter := limit.New(limit.Config{
		Window: n.config.api.RateWindow, Now: n.clock.Now, Share: rates.Count, Prune: rates.Prune, Logger: n.logger,
		Registerer: n.registry,
	})
	n.background(limiter.Run)
	return limiter
}
