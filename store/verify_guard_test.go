package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVerifyGuards takes guards away, or puts weaker ones of the same name into their place. TestVerify's healthy
// database shows that those of sql/migrations are as verification expects them.
func TestVerifyGuards(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, sql, detail string }{
		{"Missing", "ALTER TABLE order_items DROP CONSTRAINT order_items_pkey", "order_items_pkey is missing"},
		{
			"ConstraintNotInForce", `ALTER TABLE orders DROP CONSTRAINT orders_refunded_range, ADD CONSTRAINT
				orders_refunded_range CHECK (refunded_minor BETWEEN 0 AND total_minor) NOT VALID`,
			"NOT VALID",
		},
		{
			"AuditLogOpen", "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only",
			"DISABLED",
		},
		{
			"AuditLogOpenButOnReplicas", "ALTER TABLE audit_log ENABLE REPLICA TRIGGER audit_log_append_only",
			"DISABLED",
		},
		{
			"AuditLogWithAForeignTrigger", `CREATE SCHEMA app;
				CREATE FUNCTION app.let_through() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
				DROP TRIGGER audit_log_append_only ON audit_log;
				CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
					FOR EACH ROW EXECUTE FUNCTION app.let_through()`,
			"app.let_through()",
		},
		{
			"WeakerCheck", `ALTER TABLE orders DROP CONSTRAINT orders_refunded_range, ADD CONSTRAINT
				orders_refunded_range CHECK (refunded_minor >= 0)`,
			"CHECK ((refunded_minor >= 0))",
		},
		{
			"SameNameOnAnotherTable", `ALTER TABLE orders DROP CONSTRAINT orders_refunded_range;
				CREATE TABLE millrace.stand_in (refunded_minor bigint, total_minor bigint, CONSTRAINT orders_refunded_range
					CHECK (refunded_minor BETWEEN 0 AND total_minor))`,
			"stand_in: ",
		},
		{
			"WiderKey", `ALTER TABLE order_commands DROP CONSTRAINT order_commands_pkey, ADD CONSTRAINT
				order_commands_pkey PRIMARY KEY (principal, kind, idempotency_key, order_id)`,
			"idempotency_key, order_id)",
		},
		{
			"NarrowerIndex", `DROP INDEX orders_idempotency_key_idx; CREATE UNIQUE INDEX orders_idempotency_key_idx
				ON orders (principal, idempotency_key) WHERE idempotency_key > 'm'`,
			"> 'm'",
		},
		{
			"ForeignKeyNotInForce", "ALTER TABLE order_commands DISABLE TRIGGER ALL",
			"DISABLED",
		},
		{
			"AuditLogWithAnEmptyFunction", `CREATE OR REPLACE FUNCTION millrace.audit_log_refuse_change() RETURNS trigger
				LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
			"RETURN NULL",
		},
		{
			"AuditLogOpenToDeletes", `CREATE OR REPLACE TRIGGER audit_log_append_only BEFORE UPDATE OR TRUNCATE
				ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse_change()`,
			"BEFORE UPDATE OR TRUNCATE",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			d.exec(t, tt.sql)
			v := d.verify(t, false)
			require.Equal(t, []string{"guards"}, checks(v), v.Violations)
			require.Len(t, v.Violations[0].Details, 1)
			require.Contains(t, v.Violations[0].Details[0], tt.detail)
		})
	}
}
