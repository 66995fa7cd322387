package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// openOrders are on their way at the moment of the restore: their shipment cannot be booked.
const openOrders = 5

const reason = "the drill restored the database"

// drill is one run.
type drill struct {
	*deployment

	orders int
	rows   []row
	moment time.Time
}

func (d *drill) note(what, format string, args ...any) {
	d.rows = append(d.rows, row{what, fmt.Sprintf(format, args...)})
	fmt.Printf("%s: %s\n", what, fmt.Sprintf(format, args...))
}

func (d *drill) run(ctx context.Context) error {
	if _, err := d.place(ctx, d.orders/2); err != nil {
		return err
	}
	begun := time.Now()
	primary := fmt.Sprintf("host=127.0.0.1 port=%d user=%s", d.config.Port, postgres.User)
	if err := d.server.Clone(ctx, d.backup(), primary); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	d.note("base backup", "%.1f s", time.Since(begun).Seconds())
	kept, open, err := d.untilTheMoment(ctx)
	if err != nil {
		return err
	}
	if err := d.afterTheMoment(ctx, kept[0], open); err != nil {
		return err
	}
	begun = time.Now()
	if err := d.destroy(); err != nil {
		return fmt.Errorf("destroy: %w", err)
	}
	if err := d.restore(ctx, d.moment); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if _, err := d.millrace(ctx, "migrate", "--restored"); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	d.note("from the loss of the cluster to serving again", "%.1f s", time.Since(begun).Seconds())
	return d.putRight(ctx, kept[0], open)
}

// untilTheMoment places orders after the backup, some of which stay on their way, and notes the moment.
func (d *drill) untilTheMoment(ctx context.Context) (kept, open []string, err error) {
	if kept, err = d.place(ctx, d.orders-d.orders/2); err != nil {
		return nil, nil, err
	}
	down := map[string]any{"shipping": map[string]any{"errorRate": 1, "operations": []string{"ship"}}}
	if err := d.ask(ctx, http.MethodPut, d.providers+"/faults", down, nil); err != nil {
		return nil, nil, err
	}
	for range openOrders {
		id, err := d.order(ctx, "card_visa")
		if err != nil {
			return nil, nil, err
		}
		open = append(open, id)
	}
	err = d.await(ctx, "the captures", func() (bool, error) {
		ledger, err := d.ledger(ctx)
		all := balance(ledger)
		return !slices.ContainsFunc(open, func(id string) bool { return all[id].taken == 0 }), err
	})
	if err != nil {
		return nil, nil, err
	}
	if err := launch.Pause(ctx, time.Second); err != nil { // the captures' outcomes are stored
		return nil, nil, err
	}
	if err := d.query(ctx, "SELECT clock_timestamp()", &d.moment); err != nil {
		return nil, nil, err
	}
	d.note("orders before the moment", "%d, and %d on their way", d.orders, openOrders)
	return kept, open, d.ask(ctx, http.MethodPut, d.providers+"/faults", map[string]any{}, nil)
}

// afterTheMoment has the open orders end, refunds an order that survives, and places orders that will be lost.
func (d *drill) afterTheMoment(ctx context.Context, refunded string, open []string) error {
	if err := launch.Pause(ctx, time.Second); err != nil { // a commit is before the moment or after it
		return err
	}
	lost, err := d.place(ctx, d.orders)
	if err != nil {
		return err
	}
	if err := d.refund(ctx, lost[0], "5.00"); err != nil {
		return err
	}
	if err := d.refund(ctx, refunded, "10.00"); err != nil {
		return err
	}
	if err := d.atRest(ctx, append(open, lost[0], refunded)); err != nil {
		return err
	}
	var wal string
	if err := d.query(ctx, "SELECT pg_walfile_name(pg_switch_wal())", &wal); err != nil {
		return err
	}
	return d.await(ctx, "the archive", func() (bool, error) {
		var archived string
		err := d.query(ctx, "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver", &archived)
		return archived >= wal, err
	})
}

// place places orders, of which some are declined, and waits until they have ended.
func (d *drill) place(ctx context.Context, n int) (ids []string, err error) {
	for i := range n {
		method := "card_visa"
		if i%8 == 7 {
			method = "card_declined"
		}
		id, err := d.order(ctx, method)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, d.atRest(ctx, ids)
}

func (d *drill) order(ctx context.Context, method string) (string, error) {
	var placed struct{ OrderID string }
	err := d.ask(ctx, http.MethodPost, d.url+"/api/orders", map[string]any{
		"customerId": "1", "currency": "USD", "paymentMethod": method,
		"items": []map[string]any{{"productId": 1, "quantity": 3, "price": 29.99}},
	}, &placed)
	return placed.OrderID, err
}

func (d *drill) refund(ctx context.Context, id, amount string) error {
	return d.ask(ctx, http.MethodPost, d.url+"/api/orders/"+id+"/refunds", map[string]any{
		"amount": json.Number(amount),
	}, nil, "Idempotency-Key", "refund-"+id)
}

// atRest waits until orders have ended and no step of theirs is under way.
func (d *drill) atRest(ctx context.Context, ids []string) error {
	return d.await(ctx, "the orders to end", func() (bool, error) {
		for _, id := range ids {
			var open bool
			err := d.query(ctx, "SELECT status IN ('pending', 'processing') OR EXISTS (SELECT FROM millrace.order_steps s "+
				"WHERE s.order_id = o.id AND s.state = 'pending') FROM millrace.orders o WHERE id = '"+id+"'", &open)
			if err != nil || open {
				return false, err
			}
		}
		return true, nil
	})
}

// count counts the open findings of a kind.
func (d *drill) count(ctx context.Context, kind orders.FindingKind) (n int, err error) {
	return n, d.query(ctx, "SELECT count(*) FROM millrace.reconciliation_findings WHERE state = 'open' AND kind = '"+
		string(kind)+"'", &n)
}

// reconciled waits until everything up to now was compared with each provider.
func (d *drill) reconciled(ctx context.Context) error {
	var now time.Time
	if err := d.query(ctx, "SELECT clock_timestamp()", &now); err != nil {
		return err
	}
	return d.await(ctx, "reconciliation", func() (bool, error) {
		var providers int
		err := d.query(ctx, "SELECT count(*) FROM millrace.reconciliation_progress WHERE state = 'ok' AND reconciled_to > '"+
			now.Format(time.RFC3339Nano)+"'", &providers)
		return providers == len(orders.Providers()), err
	})
}

// undo runs `millrace findings undo`.
func (d *drill) undo(ctx context.Context, args ...string) (u undoing, err error) {
	out, err := d.millrace(ctx, slices.Concat([]string{
		"findings", "undo", "--since", d.moment.UTC().Format(time.RFC3339), "--grace", "0s", "--json",
		"--rate", strconv.Itoa(1000),
	}, args, d.providerArgs())...)
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal([]byte(out), &u)
}
