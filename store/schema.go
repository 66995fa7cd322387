package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sql"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Schema is the database schema of everything that is Millrace's, River's tables included. One database has one
// deployment.
const Schema = sql.Schema

// versionTable lists the migrations that were applied. It does not have goose's usual name, which may be an
// application's.
const versionTable = Schema + ".schema_version"

// prepareSchema makes the schema and the table of its versions, or takes over those that an earlier Millrace made in
// another schema. It is one transaction, and touches nothing that is not Millrace's.
func prepareSchema(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	queries := dbsqlc.New()
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		ready, err := queries.SchemaReady(ctx, tx)
		if err != nil || ready {
			return err
		}
		earlier, err := queries.SchemasOfOrders(ctx, tx)
		if err != nil {
			return fmt.Errorf("look for an earlier Millrace: %w", err)
		}
		if len(earlier) > 1 {
			return refuse("the schemas %s each hold a Millrace, and one database has one: dump all but one of them "+
				"into databases of their own and drop them here", strings.Join(earlier, ", "))
		}
		if !slices.Contains(earlier, Schema) {
			strangers, err := queries.SchemaStrangers(ctx, tx)
			if err != nil {
				return fmt.Errorf("look into schema: %w", err)
			}
			if len(strangers) > 0 {
				return refuse("the schema %s holds %s, which are not Millrace's, and Millrace needs that schema for itself: "+
					"give Millrace a database of its own, or rename that schema", Schema, strings.Join(strangers, ", "))
			}
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema); err != nil {
				return fmt.Errorf("make schema: %w", err)
			}
		}
		if len(earlier) == 0 {
			_, err := tx.Exec(ctx, sql.VersionTable)
			return err
		}
		if err := adopt(ctx, tx, queries, earlier[0]); err != nil {
			return err
		}
		logger.InfoContext(ctx, "an earlier Millrace was moved", "from", earlier[0], "to", Schema)
		return nil
	})
}

// A SchemaError is the reason why a database is not migrated.
type SchemaError struct{ Reason string }

func (e *SchemaError) Error() string { return "this database is left as it is: " + e.Reason }

func refuse(format string, args ...any) error { return &SchemaError{fmt.Sprintf(format, args...)} }

// adopt moves an earlier Millrace's objects out of a schema, by name: its tables, River's, and their version tables.
func adopt(ctx context.Context, tx pgx.Tx, queries *dbsqlc.Queries, from string) error {
	versions, err := queries.SchemaTable(ctx, tx, &dbsqlc.SchemaTableParams{Schema: from, Name: "goose_db_version"})
	if err != nil {
		return fmt.Errorf("look for versions: %w", err)
	}
	if !versions {
		return refuse("the schema %s holds Millrace's tables without goose_db_version, which says of what version "+
			"they are", from)
	}
	here := func(name string) string { return pgx.Identifier{from, name}.Sanitize() }
	var whole bool
	err = tx.QueryRow(ctx, "SELECT count(*) = count(DISTINCT version_id) AND bool_and(is_applied) AND min(version_id) = 0"+
		" AND max(version_id) = count(*) - 1 AND max(version_id) <= 11 FROM "+here("goose_db_version")).Scan(&whole)
	if err != nil {
		return fmt.Errorf("read versions: %w", err)
	}
	if !whole {
		return refuse("%s.goose_db_version is not Millrace's alone: it has other versions than 0 to 11, once each", from)
	}
	if err := refuseSharedJobs(ctx, tx, queries, from, here); err != nil {
		return err
	}
	moves, err := queries.SchemaMoves(ctx, tx, &dbsqlc.SchemaMovesParams{
		Schema: from, Tables: earlierTables(), Functions: earlierFunctions(),
	})
	if err != nil {
		return fmt.Errorf("look for what to move: %w", err)
	}
	for _, object := range moves {
		if from == Schema {
			break
		}
		if _, err := tx.Exec(ctx, "ALTER "+object+" SET SCHEMA "+Schema); err != nil {
			return fmt.Errorf("move %s: %w", object, err)
		}
	}
	if _, err := tx.Exec(ctx, "ALTER TABLE "+Schema+".goose_db_version RENAME TO schema_version"); err != nil {
		return fmt.Errorf("name the table of versions: %w", err)
	}
	roles, err := queries.SchemaReaders(ctx, tx)
	if err != nil {
		return fmt.Errorf("look for roles that may read: %w", err)
	}
	for _, role := range roles {
		if _, err := tx.Exec(ctx, "GRANT USAGE ON SCHEMA "+Schema+" TO "+role); err != nil {
			return fmt.Errorf("grant usage: %w", err)
		}
	}
	return nil
}

// refuseSharedJobs fails if River's tables are in a different schema than ours, or also hold jobs or queues of another
// application, which the move would take away from it.
func refuseSharedJobs(
	ctx context.Context, tx pgx.Tx, queries *dbsqlc.Queries, from string, here func(string) string,
) error {
	there, err := queries.SchemaTable(ctx, tx, &dbsqlc.SchemaTableParams{Schema: from, Name: "river_job"})
	if err != nil {
		return fmt.Errorf("look for jobs: %w", err)
	}
	if !there {
		return refuse("the schema %s holds Millrace's tables without River's: its jobs were in another schema, where "+
			"another application may have worked them. Drop that schema, or give it a database of its own", from)
	}
	kinds, queues := earlierJobs()
	var foreign []string
	rows, err := tx.Query(ctx, "(SELECT DISTINCT 'jobs of kind ' || kind FROM "+here("river_job")+
		" WHERE kind <> ALL($1) LIMIT 5) UNION ALL (SELECT 'the queue ' || name FROM "+here("river_queue")+
		" WHERE name <> ALL($2) LIMIT 5)", kinds, queues)
	if err == nil {
		foreign, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return fmt.Errorf("read jobs: %w", err)
	}
	if len(foreign) > 0 {
		return refuse("River's tables in the schema %s are shared with another application, which has %s there: move that "+
			"one, or dump Millrace's tables into a database of their own", from, strings.Join(foreign, ", "))
	}
	return nil
}

// The objects that Millrace made before it had a schema of its own. These lists never grow.

func earlierTables() []string {
	return []string{
		"orders", "order_items", "order_steps", "order_commands", "order_events", "order_documents", "notifications",
		"api_keys", "audit_log", "rate_counts", "inventory_snapshot", "inventory_products", "log_history", "feed_cursors",
		"webhook_endpoints", "webhook_deliveries", "webhook_attempts", "instances", "stream_tickets", "verification",
		"reconciliation_progress", "reconciliation_findings", "goose_db_version", "river_migration", "river_job",
		"river_leader", "river_queue", "river_client", "river_client_queue", "river_notification",
	}
}

func earlierFunctions() []string {
	return []string{
		"log_partition_create", "log_partition_drop", "audit_log_refuse_change", "river_job_notify",
		"river_job_state_in_bitmask",
	}
}

func earlierJobs() (kinds, queues []string) {
	kinds = []string{"maintain_log", "sync_inventory", "sweep", "reconcile", "verify", "redrive", "deliver_webhooks"}
	for _, spec := range orders.Specs() {
		kinds = append(kinds, string(spec.Name))
	}
	queues = []string{"maintenance", "redrive", "webhooks", "webhooks_failing"}
	for _, provider := range orders.Providers() {
		queues = append(queues, string(provider))
	}
	return kinds, queues
}
