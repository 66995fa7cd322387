package main

import (
	"context"
	"syscall"
)

// fault is a way to lose a primary, and how the node comes back afterwards.
type fault struct {
	name   string
	strike func(context.Context, *cluster, *machine) error
	repair func(context.Context, *machine) error // nil: Patroni does it alone
}

// faults are in the order in which they are tried: the first two are over soon.
func faults() []fault {
	return []fault{
		{
			name: "kill -9 of Postgres alone",
			strike: func(_ context.Context, _ *cluster, m *machine) error {
				return m.signal(syscall.SIGKILL, "postgres")
			},
		},
		{
			name:   "switchover through Patroni's API",
			strike: func(ctx context.Context, c *cluster, m *machine) error { return c.switchover(ctx, m) },
		},
		{
			name:   "the node dies: kill -9 of Postgres and Patroni",
			strike: func(_ context.Context, _ *cluster, m *machine) error { m.Kill(); return nil },
			repair: func(_ context.Context, m *machine) error { return m.boot() },
		},
		{
			name:   "the node freezes (SIGSTOP), and goes on later",
			strike: func(_ context.Context, _ *cluster, m *machine) error { return m.freeze() },
			repair: func(_ context.Context, m *machine) error { return m.signal(syscall.SIGCONT, "") },
		},
		{
			name:   "the node is cut off from all others, in silence",
			strike: func(ctx context.Context, _ *cluster, m *machine) error { return m.cutOff(ctx) },
			repair: func(ctx context.Context, m *machine) error { return m.reconnect(ctx) },
		},
	}
}
