package main

import (
	"context"
	"path/filepath"
)

// redisServer is a Redis of the bench's own, with the settings of its package but for where it listens and that it
// writes no snapshots: as a cache it has nothing to keep.
type redisServer struct {
	*process
	addr string
}

func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	p, err := spawn(ctx, nil, "/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "no", "--logfile", "", "--pidfile", filepath.Join(dir, "redis.pid"))
	if err != nil {
		return nil, err
	}
	r := &redisServer{p, "127.0.0.1:" + port}
	return r, r.awaitPort(ctx, r.addr)
}
