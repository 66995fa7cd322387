package main

import (
	"context"
	"fmt"

	"github.com/millrace-orders/millrace/store"
)

// startReplicas connects to the replicas, and probes them until the process stops. It returns nil if there are none.
func (n *node) startReplicas(ctx context.Context, primary *store.Store, feed *store.Feed) (*store.Replicas, error) {
	urls := n.config.replicas.ReplicaURLs
	if len(urls) == 0 {
		return nil, nil //nolint:nilnil // there are none
	}
	c := store.ReplicasConfig{Primary: primary, Oldest: feed.Oldest, Logger: n.logger, Registerer: n.registry}
	for i, url := range urls {
		name := fmt.Sprintf("replica-%d", i+1)
		pool, err := store.NewReplicaPool(ctx, url, name, n.config.connections.APIConnections)
		if err != nil {
			return nil, err
		}
		n.onStop(pool.Close)
		n.registry.MustRegister(store.PoolCollector(name, pool))
		c.Pools = append(c.Pools, pool)
	}
	replicas := store.NewReplicas(c)
	n.background(replicas.Run)
	return replicas, nil
}
