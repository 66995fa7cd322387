package main

import (
	"context"
	"time"
)

// meter measures the resources that a contender uses while it works.
type meter struct {
	database  *database
	processes []int // of the contender, without Postgres
	own       time.Duration
	postgres  time.Duration
	load      time.Duration
	wal       int64
}

func startMeter(ctx context.Context, d *database, processes ...int) (*meter, error) {
	m := &meter{database: d, processes: processes}
	var err error
	m.own, m.postgres, m.load = cpu(processes...), cpu(d.server.PID()), ownCPU()
	m.wal, err = d.walBytes(ctx)
	return m, err
}

// read returns the resources per request or order, for n of them. The contender must still be running.
func (m *meter) read(ctx context.Context, n int) (map[string]float64, error) {
	wal, err := m.database.walBytes(ctx)
	if err != nil || n == 0 {
		return nil, err
	}
	return map[string]float64{
		serverCPU:   (cpu(m.processes...) - m.own).Seconds() * thousand / float64(n),
		postgresCPU: (cpu(m.database.server.PID()) - m.postgres).Seconds() * thousand / float64(n),
		loadCPU:     (ownCPU() - m.load).Seconds() * thousand / float64(n),
		walKB:       float64(wal-m.wal) / kilobyte / float64(n),
		memoryMB:    float64(memory(m.processes...)) / megabyte,
	}, nil
}
