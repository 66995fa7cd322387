package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store"
)

// riverListens is how many connections River's listener takes of a pool. The feed's listener has one of its own.
const riverListens = 1

// checkPooler reports what a pooler loses. It comes before all other queries, which may fail behind a pooler that it
// refuses.
func (n *node) checkPooler(ctx context.Context, feedPool *pgxpool.Pool) error {
	missing, err := store.CheckPooler(ctx, feedPool)
	for _, statement := range missing {
		n.logger.WarnContext(ctx, "the role lacks a setting that a pooler keeps Millrace from setting",
			"remedy", statement)
	}
	return err
}

// openListener returns the pool whose connections hear notifications: that of --listen-url or, without a pooler, the
// feed's own. Otherwise nothing listens, and the process polls.
func (n *node) openListener(ctx context.Context, feedPool *pgxpool.Pool) (_ *pgxpool.Pool, err error) {
	if n.config.listen.ListenURL == "" {
		n.polls = store.Pooled(feedPool)
		if n.polls {
			return nil, nil //nolint:nilnil // there is none
		}
		return feedPool, nil
	}
	n.listening, err = n.poolOf(ctx, n.config.listen.source(), "listen", riverListens)
	return n.listening, err
}
