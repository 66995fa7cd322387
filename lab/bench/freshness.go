package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	freshSection = "Freshness: how long after one process has answered a write another one shows it"
	readFresh    = "GET"
	readAtLeast  = "GET with Minimum-Version"
	readStream   = "event stream"
	ringing      = "doorbell"

	freshRate      = 500 // orders that are placed per second meanwhile
	freshCallers   = 20
	freshProbes    = 4
	freshPatience  = 10 * time.Second
	cutEvery       = 200 * time.Millisecond
	notificationOK = "500 orders/s"
	notificationNo = "500 orders/s, listeners cut five times a second"
)

// measureFreshness changes orders through one process and reads them through a second, which has them in its cache.
func (b *bench) measureFreshness(ctx context.Context, condition string) (err error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	writes, err := b.startMillrace(ctx, d, "api")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, writes.stop()) }()
	reads, err := b.startMillrace(ctx, d, "api")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reads.stop()) }()

	f := &freshness{writes: writes.API, reads: reads.API, end: time.Now().Add(b.fresh), ages: map[string][]time.Duration{}}
	before, err := d.notifies(ctx)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	for range freshCallers {
		group.Go(func() error { return f.write(running) })
	}
	for range freshProbes {
		group.Go(func() error { return f.probe(running) })
	}
	if condition == notificationNo {
		group.Go(func() error { return d.cutListeners(running, f.end) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, how := range []string{readFresh, readAtLeast, readStream} {
		slices.Sort(f.ages[how])
		b.results.add(freshSection, how, condition, map[string]float64{
			p50: quantile(f.ages[how], 0.5), p99: quantile(f.ages[how], 0.99),
		})
	}
	after, err := d.notifies(ctx)
	if err != nil || !d.statements {
		return err
	}
	sent := float64(after-before) / b.fresh.Seconds()
	b.results.add(freshSection, ringing, condition, map[string]float64{notifies: sent})
	return nil
}

// freshness is one run of the measurement.
type freshness struct {
	writes, reads string // addresses
	end           time.Time
	maker         orderMaker

	mu   sync.Mutex
	ages map[string][]time.Duration
}

// write places orders at its share of the rate.
func (f *freshness) write(ctx context.Context) error {
	place, free, err := placer(ctx, f.writes, &f.maker)
	if err != nil {
		return err
	}
	defer free()
	pace := time.NewTicker(time.Second * freshCallers / freshRate)
	defer pace.Stop()
	for time.Now().Before(f.end) {
		if err := place(ctx); err != nil {
			return err
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// probe changes one order after the other, and observes the changes in each way in turn.
func (f *freshness) probe(ctx context.Context) error {
	writes, err := dial(ctx, f.writes)
	if err != nil {
		return err
	}
	defer func() { _ = writes.Close() }()
	reads, err := dial(ctx, f.reads)
	if err != nil {
		return err
	}
	defer func() { _ = reads.Close() }()
	ways := []string{readFresh, readAtLeast, readStream}
	for i := 0; time.Now().Before(f.end); i++ {
		way := ways[i%len(ways)]
		age, err := f.probeOnce(ctx, way, writes, reads)
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		f.mu.Lock()
		f.ages[way] = append(f.ages[way], age)
		f.mu.Unlock()
	}
	return nil
}

// changing is the part of an order that the bench reads.
type changing struct {
	OrderID string
	Version int64
}

// probeOnce places an order, has the reading process cache it, cancels it, and waits until the cancellation shows.
func (f *freshness) probeOnce(ctx context.Context, way string, writes, reads *connection) (time.Duration, error) {
	var o changing
	body, err := writes.expect(http.StatusAccepted, f.maker.make("").request)
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	path := "/api/orders/" + o.OrderID
	if err == nil {
		_, err = reads.expect(http.StatusOK, get(path))
	}
	if err != nil {
		return 0, err
	}
	var seen <-chan time.Time
	if way == readStream {
		if seen, err = stream(ctx, f.reads, path+"/events", o.Version+1); err != nil {
			return 0, err
		}
	}
	body, err = writes.expect(http.StatusAccepted, post(path+"/cancel", "", ""))
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	answered := time.Now()
	if err != nil {
		return 0, err
	}
	switch way {
	case readStream:
		select {
		case at := <-seen:
			return max(0, at.Sub(answered)), nil
		case <-time.After(freshPatience):
			return 0, errors.New("nothing was to be seen")
		}
	case readAtLeast:
		request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nMinimum-Version: %d\r\n\r\n", path, o.Version)
		return await(ctx, reads, request, o.Version, answered)
	default:
		return await(ctx, reads, get(path), o.Version, answered)
	}
}

// await reads every millisecond, until the order has the version.
func await(
	ctx context.Context, reads *connection, request []byte, version int64, since time.Time,
) (time.Duration, error) {
	for time.Since(since) < freshPatience {
		var o changing
		body, err := reads.expect(http.StatusOK, request)
		if err == nil {
			err = json.Unmarshal(body, &o)
		}
		if err != nil || o.Version >= version {
			return time.Since(since), err
		}
		if err := launch.Pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("nothing was to be seen")
}

// stream follows an order, and reports when the event with the version arrived. It returns once the stream has sent the
// existing events.
func stream(ctx context.Context, addr, path string, version int64) (<-chan time.Time, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(conn.reader, nil) //nolint:bodyclose // it ends with the connection
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && lines.Text() != fmt.Sprintf("id: %d", version-1) {
	}
	seen := make(chan time.Time, 1)
	go func() {
		defer func() { _ = conn.Close() }()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), fmt.Sprintf("id: %d", version)) {
				seen <- time.Now()
				return
			}
		}
	}()
	return seen, nil
}

// notifies returns the number of all notifications that were ever sent in the database.
func (d *database) notifies(ctx context.Context) (n int64, err error) {
	if !d.statements {
		return 0, nil
	}
	err = d.admin.QueryRow(ctx, `SELECT coalesce(sum(s.rows), 0)::bigint FROM pg_stat_statements s
		JOIN pg_database d ON d.oid = s.dbid AND d.datname = $1 WHERE s.query LIKE '%pg_notify%'`, d.name).Scan(&n)
	return n, err
}

// cutListeners repeatedly ends every backend that listens.
func (d *database) cutListeners(ctx context.Context, end time.Time) error {
	for time.Now().Before(end) {
		_, err := d.admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = $1 AND query ILIKE 'listen %'`, d.name)
		if err != nil {
			return err
		}
		if err := launch.Pause(ctx, cutEvery); err != nil {
			return err
		}
	}
	return nil
}

// freshnesses lists the measurements of freshness.
func (b *bench) freshnesses() (all []measurement) {
	for _, condition := range []string{notificationOK, notificationNo} {
		all = append(all, measurement{"freshness, " + condition, func(ctx context.Context) error {
			return b.measureFreshness(ctx, condition)
		}})
	}
	return all
}
