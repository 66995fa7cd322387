package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// missing returns the orders that customers were told of and the primary does not have.
func (c *customers) missing(ctx context.Context) ([]string, error) {
	told := c.ids()
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var missing []string
	err = conn.QueryRow(ctx, `SELECT coalesce(array_agg(told), '{}') FROM unnest($1::text[]) AS told
		WHERE NOT EXISTS (SELECT FROM millrace.orders WHERE id = told::uuid)`, told).Scan(&missing)
	return missing, err
}

// check waits until all orders are at rest. It returns what is wrong with them, by the customers' ledger, the database
// and the providers' ledger.
func (c *customers) check(ctx context.Context) (wrong []string, err error) {
	state := map[string]string{} // of each order
	if !launch.Eventually(ctx, 5*time.Minute, func() bool {
		state, err = c.states(ctx)
		for _, s := range state {
			if !orders.Status(s).AtRest() {
				return false
			}
		}
		return err == nil
	}) {
		wrong = append(wrong, "not all orders are at rest")
	}
	if err != nil {
		return nil, err
	}
	for _, key := range c.doubled {
		wrong = append(wrong, "key "+key+" was answered with two orders")
	}
	if len(state) != c.keys || len(c.accepted) != c.keys {
		wrong = append(wrong, fmt.Sprintf("%d placements, %d accepted, %d orders in the database",
			c.keys, len(c.accepted), len(state)))
	}
	for key, id := range c.accepted {
		if state[id] == "" {
			wrong = append(wrong, "order "+id+" of "+key+" was accepted and is lost")
		}
	}
	for id, s := range state {
		if s != string(orders.Completed) {
			wrong = append(wrong, "order "+id+" is "+s)
		}
	}
	ledger, err := c.ledger(ctx, state)
	if err != nil {
		return nil, err
	}
	wrong = append(wrong, ledger...)
	if err := c.verify(ctx); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong, nil
}

func (c *customers) states(ctx context.Context) (map[string]string, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT id::text, status::text FROM millrace.orders")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	state := map[string]string{}
	for rows.Next() {
		var id, status string
		if err := rows.Scan(&id, &status); err != nil {
			return nil, err
		}
		state[id] = status
	}
	return state, rows.Err()
}

// ledger checks that the providers did each thing once for each order: it was paid, reserved and shipped once, and so
// was nothing else.
func (c *customers) ledger(ctx context.Context, state map[string]string) (wrong []string, err error) {
	var summary simulator.Summary
	if err := c.ask(ctx, http.MethodGet, c.simulatorURL("/ledger/summary"), nil, &summary); err != nil {
		return nil, err
	}
	for _, v := range summary.Violations {
		wrong = append(wrong, fmt.Sprintf("%s by %s of order %s", v.Rule, v.Key, v.OrderID))
	}
	var entries []simulator.Entry
	if err := c.ask(ctx, http.MethodGet, c.simulatorURL("/ledger"), nil, &entries); err != nil {
		return nil, err
	}
	return append(wrong, audit(entries, state)...), nil
}

// audit compares the providers' entries with the orders.
func audit(entries []simulator.Entry, state map[string]string) (wrong []string) {
	once := []string{"authorize", "reserve", "capture", "ship"}
	done := map[string]map[string]int{} // by order and operation
	for _, e := range entries {
		if done[e.OrderID] == nil {
			done[e.OrderID] = map[string]int{}
		}
		done[e.OrderID][e.Operation]++
		if state[e.OrderID] == "" {
			wrong = append(wrong, fmt.Sprintf("%s of an order that is not there: %s", e.Operation, e.OrderID))
		}
	}
	for id := range state {
		for _, operation := range once {
			if n := done[id][operation]; n != 1 {
				wrong = append(wrong, fmt.Sprintf("%d × %s of order %s", n, operation, id))
			}
		}
		for operation := range done[id] {
			if slices.Contains([]string{"void", "refund", "release", "cancel_shipment"}, operation) {
				wrong = append(wrong, fmt.Sprintf("%s of order %s, which is %s", operation, id, state[id]))
			}
		}
	}
	return wrong
}
