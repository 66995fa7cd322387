package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// expect returns an error unless two figures are equal.
func expect[T comparable](what string, want, got T) error {
	if want != got {
		return fmt.Errorf("%s: %v, by the providers' ledger %v", what, got, want)
	}
	return nil
}

// lost returns the effects, by the ledger, whose orders the database does not have, and these orders.
func (d *drill) lost(ctx context.Context, ledger []simulator.Entry) (effects int, ids []string, err error) {
	seen := map[string]bool{}
	for _, e := range ledger {
		there, known := seen[e.OrderID]
		if !known {
			err := d.query(ctx, "SELECT EXISTS (SELECT FROM millrace.orders WHERE id = '"+e.OrderID+"')", &there)
			if err != nil {
				return 0, nil, err
			}
			seen[e.OrderID] = there
			if !there {
				ids = append(ids, e.OrderID)
			}
		}
		if !there {
			effects++
		}
	}
	return effects, ids, nil
}

// putRight waits for reconciliation, undoes what it found, and compares every figure with the ledger.
func (d *drill) putRight(ctx context.Context, refunded string, open []string) error {
	if err := d.reconciled(ctx); err != nil {
		return err
	}
	ledger, err := d.ledger(ctx)
	if err != nil {
		return err
	}
	effects, ids, err := d.lost(ctx, ledger)
	if err != nil {
		return err
	}
	before := sum(balance(ledger), ids)
	found, err := d.count(ctx, orders.FindingUnknownOrder)
	if err != nil {
		return err
	}
	d.note("orders lost", "%d, with %d effects at the providers", len(ids), effects)
	d.note("findings `unknown_order`", "%d", found)
	planned, err := d.undo(ctx, "--dry-run")
	if err != nil {
		return err
	}
	if err := errors.Join(
		expect("orders lost", d.orders, len(ids)), expect("findings", effects, found),
		expect("orders planned", len(ids), planned.Orders), expect("effects planned", effects, planned.Effects),
		expect("orders held", 0, len(planned.Held)), d.planned(planned, before),
	); err != nil {
		return err
	}
	undone, err := d.undo(ctx, "--reason", reason)
	if err != nil {
		return err
	}
	d.note("effects undone", "%d, the others need no undo", undone.Undone)
	return d.prove(ctx, ids, refunded, open)
}

// planned compares the sums of the dry run with what the providers have of the lost orders.
func (d *drill) planned(u undoing, before left) error {
	refunds, taken, _, err := u.total(orders.RefundPayment)
	if err != nil {
		return err
	}
	_, held, _, err := u.total(orders.VoidPayment)
	if err != nil {
		return err
	}
	releases, _, units, err := u.total(orders.ReleaseInventory)
	if err != nil {
		return err
	}
	cancellations, _, _, err := u.total(orders.CancelShipment)
	if err != nil {
		return err
	}
	d.note("would go back", "%s USD in %d refunds, %d units in %d releases, %d shipments",
		orders.USD.Format(taken), refunds, units, releases, cancellations)
	return errors.Join(
		expect("money to refund", before.taken, taken), expect("money to release", before.held, held),
		expect("units to release", before.units, units), expect("reservations", before.reserved, releases),
		expect("shipments", before.shipped, cancellations),
	)
}

// prove shows that nothing is left to find, and that the providers have nothing of the lost orders.
func (d *drill) prove(ctx context.Context, ids []string, refunded string, open []string) error {
	if err := d.atRest(ctx, open); err != nil {
		return err
	}
	// The e-mails of these orders went out after the moment, too: before they had intents again, they were findings.
	if err := d.reconciled(ctx); err != nil {
		return err
	}
	noIntent, err := d.count(ctx, orders.FindingNoIntent)
	if err != nil {
		return err
	}
	d.note("findings `no_intent`", "%d: a refund and its e-mail after the moment, of an order from before it", noIntent)
	if err := d.refund(ctx, refunded, "10.00"); err != nil { // the same again finds what was done
		return err
	}
	if err := d.await(ctx, "the findings to be resolved", func() (bool, error) {
		var findings int
		err := d.query(ctx, "SELECT count(*) FROM millrace.reconciliation_findings WHERE state = 'open'", &findings)
		return findings == 0, err
	}); err != nil {
		return err
	}
	if err := d.reconciled(ctx); err != nil {
		return err
	}
	var findings int
	err = d.query(ctx, "SELECT count(*) FROM millrace.reconciliation_findings WHERE state = 'open'", &findings)
	if err != nil {
		return err
	}
	ledger, err := d.ledger(ctx)
	if err != nil {
		return err
	}
	all := balance(ledger)
	again, err := d.undo(ctx, "--reason", reason)
	if err != nil {
		return err
	}
	after, err := d.ledger(ctx)
	if err != nil {
		return err
	}
	problems := []error{
		expect("open findings", 0, findings), expect("findings of the refund", 2, noIntent),
		expect("what the lost orders have left", left{}, sum(all, ids)),
		expect("keys undone twice", 0, len(twice(ledger))),
		expect("orders that another run undoes", 0, again.Orders),
		expect("orders undone before", len(ids), again.UndoneBefore),
		expect("effects of another run", len(ledger), len(after)),
		expect("money of the refunded order", orders.Money(8997-1000), all[refunded].taken),
	}
	whole := left{taken: 8997, reserved: 1, shipped: 1, units: 3}
	for _, id := range open {
		problems = append(problems, expect("what an order on its way has", whole, all[id]))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	d.note("after the undo", "0 open findings, 0 keys undone twice, 0.00 USD and 0 units of lost orders left")
	err = d.await(ctx, "verification", func() (bool, error) {
		_, err := d.millrace(ctx, append([]string{"verify", "--deep"}, d.providerArgs()...)...)
		return err == nil, err
	})
	if err == nil {
		d.note("`millrace verify --deep`", "passes; the %d orders on their way ended, each step once", len(open))
	}
	return err
}
