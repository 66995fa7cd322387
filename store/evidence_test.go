package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// manyJobs adds jobs, messages, findings and audit entries of the orders of manyOrders.
const manyJobs = `
INSERT INTO millrace.river_job (kind, queue, state, args, max_attempts, priority)
SELECT 'book_shipment', 'shipping', 'available', json_build_object('order_id', id, 'generation', 1), 25, 2
FROM millrace.orders;
INSERT INTO millrace.webhook_endpoints (id, principal, customer_id, owner_customer_id, url, event_types,
	description, secret, rotation_key, state, disabled_reason, failures, busy_until, created_at, updated_at)
SELECT gen_random_uuid(), 'p', '', '', 'https://shop.example.com', '{}', '', sha256('s'), '', 'enabled', '', 0,
	now(), now(), now()
FROM generate_series(1, 2);
INSERT INTO millrace.webhook_deliveries (id, endpoint_id, event_type, order_id, version, body, state, attempts,
	give_up_at, next_attempt_at, created_at)
SELECT gen_random_uuid(), e.id, 'OrderCreated', o.id, 1, '', 'pending', 0, 9, now(), now()
FROM millrace.orders o, millrace.webhook_endpoints e;
INSERT INTO millrace.reconciliation_findings (provider, kind, key, order_id, detail, state, first_seen_at, last_seen_at)
SELECT 'shipping', 'late', id || ':book_shipment:1', id, '', 'open', now(), now() FROM millrace.orders;
INSERT INTO millrace.audit_log (at, actor, role, action, target, request_id, remote_address, detail)
SELECT now(), 'a', 'operator', 'settleOrder', id, '', '', '{}' FROM millrace.orders;
ANALYZE millrace.river_job; ANALYZE millrace.webhook_deliveries; ANALYZE millrace.reconciliation_findings;
ANALYZE millrace.audit_log`

// What explains one order is looked up, whatever else there is.
func TestEvidenceReadsLittle(t *testing.T) {
	t.Parallel()
	// A database of its own: what other tests have rolled back would be read, too.
	tx := hold(t, storetest.PatientPool(t))
	s := storetest.New(t, tx)
	for _, sql := range []string{manyOrders, manyJobs} {
		_, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	}
	o := storetest.Order(t, s)
	tables := map[string]int{
		"orders": 10, "order_steps": 20, "river_job": 50, "webhook_deliveries": 50, "reconciliation_findings": 50,
		"webhook_attempts": 50, "audit_log": 50,
	}
	for range 10 { // more often than it takes for Postgres to consider a plan for any parameters
		before := map[string]int{}
		for table := range tables {
			before[table] = rowsRead(t, tx, table)
		}
		e, err := s.Orders.Evidence(t.Context(), o.ID)
		require.NoError(t, err)
		require.Len(t, e.Jobs, 1)
		_, err = s.Orders.Belongings(t.Context(), &e.Order)
		require.NoError(t, err)
		for table, most := range tables {
			require.LessOrEqual(t, rowsRead(t, tx, table)-before[table], most, table)
		}
	}
}
