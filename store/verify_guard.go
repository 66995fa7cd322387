package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
)

// guards are the constraints, unique indexes and triggers that enforce invariants, with the definitions that Postgres
// shows for them after sql/migrations. A comparison of names would not do: a weaker constraint may have the same name.
func guards() map[string]string {
	return map[string]string{
		"orders_pkey": "orders: PRIMARY KEY (id)",
		"orders_idempotency_key_idx": "orders: CREATE UNIQUE INDEX orders_idempotency_key_idx ON millrace.orders " +
			"USING btree (principal, idempotency_key) WHERE (idempotency_key IS NOT NULL)",
		"archived_orders_pkey": "archived_orders: PRIMARY KEY (order_id)",
		"archived_orders_idempotency_key_idx": "archived_orders: CREATE UNIQUE INDEX archived_orders_idempotency_key_idx " +
			"ON millrace.archived_orders USING btree (principal, idempotency_key) WHERE (idempotency_key IS NOT NULL)",
		"orders_refunded_range": "orders: CHECK (((refunded_minor >= 0) AND (refunded_minor <= total_minor)))",
		"orders_status_known": "orders: CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, " +
			"'completed'::text, 'failed'::text, 'cancelled'::text, 'refunded'::text, 'needs_attention'::text])))",
		"order_items_pkey":                 "order_items: PRIMARY KEY (order_id, line)",
		"order_steps_pkey":                 "order_steps: PRIMARY KEY (order_id, step, generation)",
		"order_steps_settled_with_outcome": "order_steps: CHECK (((state = 'pending'::text) = (settled_at IS NULL)))",
		"order_commands_pkey":              "order_commands: PRIMARY KEY (principal, kind, idempotency_key)",
		"order_commands_order_fkey": "order_commands: FOREIGN KEY (order_id) REFERENCES millrace.orders(id) " +
			"ON DELETE CASCADE",
		"order_events_pkey": "order_events: PRIMARY KEY (order_id, version, logged_at)",
		"audit_log_append_only": "audit_log: CREATE TRIGGER audit_log_append_only BEFORE DELETE OR UPDATE OR TRUNCATE " +
			"ON millrace.audit_log FOR EACH STATEMENT EXECUTE FUNCTION millrace.audit_log_refuse_change()\n" +
			"\nBEGIN\n    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation', " +
			"CONSTRAINT = 'audit_log_append_only';\nEND;\n",
	}
}

// guards reports guards that are missing or have a different definition.
func (v *verification) guards(ctx context.Context, tx pgx.Tx, _ time.Time) error {
	expected := guards()
	if err := v.verifier.queries.VerifyNames(ctx, tx); err != nil {
		return err
	}
	rows, err := v.verifier.queries.VerifyGuards(ctx, tx, slices.Collect(maps.Keys(expected)))
	found := map[string][]string{} // a name is unique within a table only
	for _, row := range rows {
		found[row.Name] = append(found[row.Name], row.Definition)
	}
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		switch {
		case err != nil || slices.Contains(found[name], expected[name]):
		case len(found[name]) == 0:
			v.report(checkGuards, orders.ID{}, "%s is missing", name)
		default:
			v.report(checkGuards, orders.ID{}, "%s is not as migrated but %.500s", name, strings.Join(found[name], "; "))
		}
	}
	return err
}
