package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-orders/millrace/orders"
)

const (
	journeySection = "Where an order's time goes"
	journeyLoad    = "100 orders a second, providers take 20 ms"
	journeyEvery   = 10 * time.Millisecond
	journeyCallers = 32
	journeyFor     = 15 * time.Second

	journeyRequest = "the request that places it"
	journeyQueue   = "from placing to a worker"
	journeyStep    = "any step, beyond the provider's time"
	journeyWhole   = "from placing to completed"
)

// journeySteps selects, for each step that was carried out at once, how much longer than its call it took: the commit
// of what came before, the lane, the call's own cost, and the wait for steps beside it.
const journeySteps = `SELECT extract(epoch FROM s.settled_at - greatest(s.started_at, j.attempted_at)) * 1000 - %d
	FROM millrace.order_steps s
	JOIN millrace.river_job j ON j.args ->> 'order_id' = s.order_id::text AND j.kind = 'carry_order'
	WHERE s.state = 'succeeded' AND s.step LIKE '%s'`

const journeyWaits = `SELECT extract(epoch FROM j.attempted_at - o.placed_at) * 1000 FROM millrace.orders o
	JOIN millrace.river_job j ON j.args ->> 'order_id' = o.id::text AND j.kind = 'carry_order'`

// measureJourney places orders evenly, far below what a process can do, and finds out from the database what each part
// of their way took.
func (b *bench) measureJourney(ctx context.Context) (err error) {
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
	maker, began := new(orderMaker), time.Now()
	took, err := placeEvenly(ctx, p.API, maker, journeyEvery, began.Add(journeyFor))
	if err != nil {
		return err
	}
	if err := d.awaitCompleted(ctx, w, maker.placed.Load(), began); err != nil {
		return err
	}
	b.journey(journeyRequest, quantile(took, 0.5), quantile(took, 0.99))
	provider := slowProviders.Milliseconds()
	parts := []struct{ name, sql string }{{journeyQueue, journeyWaits}}
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment, orders.BookShipment,
		orders.SendEmail,
	} {
		parts = append(parts, struct{ name, sql string }{
			string(step) + ", beyond the provider's time", fmt.Sprintf(journeySteps, provider, step),
		})
	}
	parts = append(parts,
		struct{ name, sql string }{journeyStep, fmt.Sprintf(journeySteps, provider, "%")},
		struct{ name, sql string }{journeyWhole, millraceLatencies})
	for _, part := range parts {
		half, most, err := d.latencies(ctx, part.sql)
		if err != nil {
			return err
		}
		b.journey(part.name, half, most)
	}
	return nil
}

func (b *bench) journey(part string, half, most float64) {
	b.results.add(journeySection, part, journeyLoad, map[string]float64{p50: half, p99: most})
}

// placeEvenly places orders at the same distance until the end, and returns what each took, the fastest first.
func placeEvenly(
	ctx context.Context, addr string, maker *orderMaker, every time.Duration, end time.Time,
) ([]time.Duration, error) {
	turns := make(chan struct{}, journeyCallers)
	took := make([][]time.Duration, journeyCallers)
	group, ctx := errgroup.WithContext(ctx)
	for i := range journeyCallers {
		one, free, err := placer(ctx, addr, maker)
		if err != nil {
			return nil, err
		}
		defer free()
		group.Go(func() error {
			for range turns {
				began := time.Now()
				if err := one(ctx); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(began))
			}
			return nil
		})
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for time.Now().Before(end) && ctx.Err() == nil {
		<-ticker.C
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
		}
	}
	close(turns)
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, nil
}
