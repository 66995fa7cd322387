package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed fill.sql
var fillSQL string

//go:embed backlog.sql
var backlogSQL string

const (
	growthSection = "Growth"
	growthReaders = 16
	sampledOrders = 20_000
	ordersEach    = 40 // of one customer

	growthIntake = "placing orders, 64 connections"
	growthWhole  = "whole orders, and with them the fetching of jobs"
	growthGet    = "GET of any order, not cached"
)

func sizeLabel(orders int) string { return thousands(int64(orders)) + " orders" }

// list is a page to read, with its path.
type list struct {
	name string
	path func() string
}

func growthLists(orders int) []list {
	return []list{
		{"the newest page of all orders", func() string { return "/api/orders" }},
		{"the newest page of a status", func() string { return "/api/orders?status=failed" }},
		{"the newest page of one customer's", func() string {
			return fmt.Sprintf("/api/orders?customerId=%d", 1+rand.IntN(orders/ordersEach))
		}},
	}
}

// growthCommand compares a large database with one that is nearly empty.
type growthCommand struct {
	common
	Orders  int    `default:"1000000" help:"Orders in the one that has grown; it has ten times as many events."`
	Few     int    `default:"10000" help:"Orders in the other."`
	Pending int    `default:"1000000" help:"Orders with a pending step, and as many messages that wait, when the plans are looked at."`
	Plans   bool   `help:"Look at the plans, and measure nothing. The plans are printed, unless --results has a directory for them."`
	Queries string `required:"" help:"Directory with the queries." type:"existingdir"`
	Code    string `required:"" help:"Directory with the Go code that is generated from them." type:"existingdir"`
	Docs    string `help:"Directory whose performance.md is written." type:"existingdir"`
	Results string `help:"Directory whose plans.md is written." type:"existingdir"`
}

// Run measures both, and examines the plans of all queries on the larger one.
func (c *growthCommand) Run(ctx context.Context) (err error) {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.results.Command = "make bench-growth"
	var all []measurement
	var grown *database
	sizes := []int{c.Few, c.Orders}
	if c.Plans {
		sizes = sizes[1:]
	}
	for _, orders := range sizes {
		if grown, err = b.grow(ctx, orders); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		if c.Plans {
			break
		}
		of, err := b.growth(ctx, grown, orders)
		if err != nil {
			return err
		}
		all = append(all, of...)
	}
	if !c.Plans {
		if err := b.measure(ctx, all); err != nil {
			return err
		}
		_, _ = fmt.Println(b.results.grown(sizeLabel(c.Orders), sizeLabel(c.Few)))
		b.results.print(os.Stdout)
		if c.Docs != "" {
			if err := b.results.documentGrowth(c.Docs, sizeLabel(c.Orders), sizeLabel(c.Few)); err != nil {
				return err
			}
		}
	}
	return c.plans(ctx, b, grown)
}

// plans examines the plans of all queries while many steps are pending.
func (c *growthCommand) plans(ctx context.Context, b *bench, d *database) error {
	began := time.Now()
	if err := d.run(ctx, backlogSQL, c.Orders, c.Pending); err != nil {
		return fmt.Errorf("add a backlog: %w", err)
	}
	_, _ = fmt.Fprintf(b.log, "%s pending, after %s\n", thousands(int64(c.Pending)), time.Since(began).Round(time.Second))
	seen, err := b.explain(ctx, d)
	if err != nil {
		return err
	}
	generic, err := d.generic(ctx, c.Code, seen)
	if err != nil {
		return err
	}
	own, err := queryNames(c.Queries)
	if err != nil {
		return err
	}
	failed := seen.check()
	_, _ = fmt.Fprint(b.log, seen.times(own))
	maps.Copy(seen, generic)
	text := seen.markdown(c.Orders, c.Pending, own)
	switch {
	case c.Results != "":
		err = os.WriteFile(filepath.Join(c.Results, "plans.md"), []byte(text), 0o644)
	case c.Plans:
		_, err = fmt.Print(text)
	}
	return errors.Join(err, failed, seen.missing(own))
}

// run executes statements, and updates the statistics.
func (d *database) run(ctx context.Context, sql string, orders, pending int) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	sql = strings.NewReplacer("@orders", fmt.Sprint(orders), "@pending", fmt.Sprint(pending)).Replace(sql)
	for _, statements := range []string{"SET synchronous_commit = off", sql, "VACUUM (ANALYZE)", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, statements); err != nil {
			return err
		}
	}
	return nil
}

// grow makes a database with a number of orders.
func (b *bench) grow(ctx context.Context, orders int) (*database, error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return nil, err
	}
	if err := d.run(ctx, fillSQL, orders, 0); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(b.log, "a database with %s orders\n", thousands(int64(orders)))
	return d, b.bytesEach(ctx, d)
}

// growth lists the measurements in one database.
func (b *bench) growth(ctx context.Context, d *database, orders int) ([]measurement, error) {
	size := sizeLabel(orders)
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT id::text FROM millrace.orders ORDER BY random() LIMIT $1", sampledOrders)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	all := []measurement{
		{"growth, intake, " + size, func(ctx context.Context) error { return b.growthIntake(ctx, d, size) }},
		{"growth, whole orders, " + size, func(ctx context.Context) error { return b.growthWhole(ctx, d, size) }},
		{"growth, GET, " + size, func(ctx context.Context) error {
			return b.growthRead(ctx, d, size, growthGet, func() string { return "/api/orders/" + ids[rand.IntN(len(ids))] })
		}},
	}
	for _, l := range growthLists(orders) {
		all = append(all, measurement{"growth, " + l.name + ", " + size, func(ctx context.Context) error {
			return b.growthRead(ctx, d, size, l.name, l.path)
		}})
	}
	return all, nil
}

func (b *bench) growthIntake(ctx context.Context, d *database, size string) error {
	p, err := b.startMillrace(ctx, d, "api")
	if err != nil {
		return err
	}
	_, values, err := b.place(ctx, d, p, new(orderMaker), 64)
	if err = errors.Join(err, p.stop(), d.forgetWork(ctx)); err != nil {
		return err
	}
	b.results.add(growthSection, growthIntake, size, values)
	return nil
}

// forgetWork removes the orders that the intake measurements left, so that no worker carries them out.
func (d *database) forgetWork(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `DELETE FROM millrace.river_job WHERE state = 'available';
		DELETE FROM millrace.order_steps WHERE state = 'pending'; DELETE FROM millrace.orders WHERE status = 'pending'`)
	return errors.Join(err, conn.Close(ctx))
}

func (b *bench) growthWhole(ctx context.Context, d *database, size string) error {
	w, err := openWorld(ctx, 0)
	if err != nil {
		return err
	}
	s, err := b.millraceContender(millrace).start(ctx, d, w)
	if err != nil {
		return err
	}
	maker := new(orderMaker)
	values, err := b.carry(ctx, d, w, s, maker)
	if err = errors.Join(err, s.stop(), w.close()); err != nil {
		return err
	}
	if err := b.saveStatements(ctx, d, "growth, whole orders, "+size, maker.placed.Load()); err != nil {
		return err
	}
	b.results.add(growthSection, growthWhole, size, values)
	return nil
}

// growthRead reads paths, each from the database.
func (b *bench) growthRead(ctx context.Context, d *database, size, name string, path func() string) error {
	p, err := b.startMillrace(ctx, d, "api", "--cache-ttl", "1ms")
	if err != nil {
		return err
	}
	m, err := startMeter(ctx, d, p.PID())
	if err != nil {
		return err
	}
	l, err := run(ctx, growthReaders, b.span, func(ctx context.Context) (call, func(), error) {
		conn, err := dial(ctx, p.API)
		if err != nil {
			return nil, nil, err
		}
		return func(context.Context) error {
			body, err := conn.expect(http.StatusOK, get(path()))
			if err == nil && !json.Valid(body) {
				err = fmt.Errorf("answered %s", body)
			}
			return err
		}, func() { _ = conn.Close() }, nil
	})
	used, readErr := m.read(ctx, l.all)
	if err = errors.Join(err, readErr, p.stop()); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail(tailLines))
	}
	b.results.add(growthSection, name, size, map[string]float64{
		rate: l.rate(), p50: l.quantile(0.5), p99: l.quantile(0.99),
		serverCPU: used[serverCPU], postgresCPU: used[postgresCPU],
	})
	return nil
}
