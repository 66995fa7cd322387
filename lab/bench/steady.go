package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	steadySection = "Millrace under a steady load"
	steadyLoad    = "100 orders at the same moment, every second; providers take 20 ms"
	fullLoad      = "as many orders as it can carry"
	placing       = "placing an order"
	processing    = "from placing to completed"
	wholeProcess  = "the process, API and workers"

	steadyCallers = 100
	sampleEvery   = time.Second
)

// measureSteady has a hundred callers place an order at the same moment, every second.
func (b *bench) measureSteady(ctx context.Context) error {
	return b.long(ctx, steadyLoad, func(ctx context.Context, o offering) error {
		var starts []chan struct{}
		latencies := make([][]time.Duration, steadyCallers)
		group, ctx := errgroup.WithContext(ctx)
		for i := range steadyCallers {
			place, free, err := placer(ctx, o.process.API, o.maker)
			if err != nil {
				return err
			}
			defer free()
			start := make(chan struct{}, 1)
			starts = append(starts, start)
			group.Go(func() error {
				for range start {
					began := time.Now()
					if err := place(ctx); err != nil {
						return err
					}
					latencies[i] = append(latencies[i], time.Since(began))
				}
				return nil
			})
		}
		err := everySecond(ctx, o.end, func() {
			for _, start := range starts {
				start <- struct{}{}
			}
		})
		for _, start := range starts {
			close(start)
		}
		if err := errors.Join(err, group.Wait()); err != nil {
			return err
		}
		all := slices.Concat(latencies...)
		slices.Sort(all)
		b.results.add(steadySection, placing, steadyLoad, map[string]float64{
			p50: quantile(all, 0.5), p99: quantile(all, 0.99),
		})
		return nil
	})
}

// measureFull keeps a full window of orders under way.
func (b *bench) measureFull(ctx context.Context) error {
	return b.long(ctx, fullLoad, func(ctx context.Context, o offering) error {
		return place(ctx, o.process.API, o.maker, o.world, o.end)
	})
}

// offering has what a load needs to place orders until the end.
type offering struct {
	world   *world
	process *process
	maker   *orderMaker
	end     time.Time
}

// long runs one process long enough to see whether its memory grows.
func (b *bench) long(ctx context.Context, condition string, offer func(context.Context, offering) error) (err error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	w, err := openWorld(ctx, slowProviders)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	p, err := b.startMillrace(ctx, d, "serve", w.args()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	maker, began, used := new(orderMaker), time.Now(), cpu(p.PID())
	sampling, stopSampling := context.WithCancel(ctx)
	samples := make(chan []float64, 1)
	go func() { samples <- sampleMemory(sampling, p) }()
	err = offer(ctx, offering{w, p, maker, began.Add(b.steady)})
	elapsed := time.Since(began)
	used = cpu(p.PID()) - used
	stopSampling()
	sampled := <-samples
	if err = errors.Join(err, p.Alive()); err != nil {
		return err
	}
	if err := d.awaitCompleted(ctx, w, maker.placed.Load(), began); err != nil {
		return err
	}
	half, most, err := d.latencies(ctx, millraceLatencies)
	if err != nil {
		return err
	}
	b.results.add(steadySection, processing, condition, map[string]float64{
		rate: float64(maker.placed.Load()) / elapsed.Seconds(), p50: half, p99: most,
	})
	b.results.add(steadySection, wholeProcess, condition, map[string]float64{
		cpuPercent: 100 * used.Seconds() / elapsed.Seconds() / float64(runtime.NumCPU()),
		memoryMB:   slices.Max(sampled), growthMB: growth(sampled), readyMS: float64(p.Startup.Milliseconds()),
	})
	return nil
}

// everySecond calls fn until the end.
func everySecond(ctx context.Context, end time.Time, fn func()) error {
	for time.Now().Before(end) {
		fn()
		if err := launch.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// sampleMemory returns samples of a process's memory, in MB, until ctx ends.
func sampleMemory(ctx context.Context, p *process) []float64 {
	var samples []float64
	for {
		samples = append(samples, float64(memory(p.PID()))/megabyte)
		if launch.Pause(ctx, sampleEvery) != nil {
			return samples
		}
	}
}

// growth returns by how many MB a minute the samples rise, as the slope of a least-squares line. It leaves out the
// first third: a process that has just started does grow.
func growth(samples []float64) float64 {
	samples = samples[len(samples)/3:]
	n := float64(len(samples))
	var sumX, sumY, sumXY, sumXX float64
	for i, y := range samples {
		x := float64(i) * sampleEvery.Minutes()
		sumX, sumY, sumXY, sumXX = sumX+x, sumY+y, sumXY+x*y, sumXX+x*x
	}
	if n < 2 {
		return 0
	}
	return (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
}
