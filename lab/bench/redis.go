package main

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// redisServer is the bench's own Redis, with its package's settings, except for its address and for snapshots: a cache
// needs none.
type redisServer struct {
	*process
	addr string
}

func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	port, err := launch.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	p, err := spawn(ctx, nil, "/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir,
		"--save", "", "--appendonly", "no", "--logfile", "", "--pidfile", filepath.Join(dir, "redis.pid"))
	if err != nil {
		return nil, err
	}
	r := &redisServer{p, launch.Address(port)}
	return r, r.AwaitPort(ctx, r.addr)
}
