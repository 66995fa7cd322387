package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// left is what the providers have of an order, by their own ledger.
type left struct {
	held, taken       orders.Money
	reserved, shipped int
	units             int64
}

func (d *deployment) ledger(ctx context.Context) (list []simulator.Entry, err error) {
	err = d.ask(ctx, http.MethodGet, d.providers+"/ledger", nil, &list)
	return list, err
}

// balance adds the ledger up, by order.
func balance(ledger []simulator.Entry) map[string]left {
	all := map[string]left{}
	for _, e := range ledger {
		l := all[e.OrderID]
		units := int64(0)
		for _, item := range e.Items {
			units += item.Quantity
		}
		switch e.Operation {
		case "authorize":
			l.held += e.Money()
		case "capture":
			l.held -= e.Money()
			l.taken += e.Money()
		case "void":
			l.held -= e.Money()
		case "refund":
			l.taken -= e.Money()
		case "reserve":
			l.reserved++
			l.units += units
		case "release":
			l.reserved--
			l.units -= units
		case "ship":
			l.shipped++
		case "cancel_shipment":
			l.shipped--
		}
		all[e.OrderID] = l
	}
	return all
}

// sum adds up what the providers have of some orders.
func sum(all map[string]left, of []string) (s left) {
	for _, id := range of {
		l := all[id]
		s.held += l.held
		s.taken += l.taken
		s.reserved += l.reserved
		s.shipped += l.shipped
		s.units += l.units
	}
	return s
}

// twice lists the keys that were undone more than once. An order may have given a part of its money back by itself.
func twice(ledger []simulator.Entry) (keys []string) {
	undone := map[string]int{}
	for _, e := range ledger {
		_, undo := orders.UndoneKey(e.Key)
		if slices.Contains([]string{"void", "release", "cancel_shipment"}, e.Operation) || e.Operation == "refund" && undo {
			if undone[e.RefersTo]++; undone[e.RefersTo] == 2 {
				keys = append(keys, e.RefersTo)
			}
		}
	}
	return keys
}

// undoing is what `millrace findings undo --json` prints.
type undoing struct {
	Orders, Effects, Undone, Left, UndoneBefore int
	Totals                                      []struct {
		Undo  string
		Count int
		Money map[orders.Currency]json.Number
		Units int64
	}
	Held []struct{ OrderID, Reason string }
}

// total adds up the rows of a compensation.
func (u undoing) total(undo orders.StepName) (count int, money orders.Money, units int64, err error) {
	for _, t := range u.Totals {
		if t.Undo != string(undo) {
			continue
		}
		count += t.Count
		units += t.Units
		for currency, amount := range t.Money {
			m, err := currency.Parse(string(amount))
			if err != nil {
				return 0, 0, 0, fmt.Errorf("amount of %s: %w", undo, err)
			}
			money += m
		}
	}
	return count, money, units, nil
}
