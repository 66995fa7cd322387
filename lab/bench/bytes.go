package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// bytesEach prints what an order takes on disk: of its tables, and of their indexes. The partitions of the log count as
// one table.
func (b *bench) bytesEach(ctx context.Context, d *database) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `
		SELECT regexp_replace(c.relname, '_([0-9]{8}.*|default)$', ''), sum(pg_table_size(c.oid)) / n.orders,
			sum(pg_indexes_size(c.oid)) / n.orders
		FROM pg_class c, (SELECT count(*) AS orders FROM millrace.orders) n
		WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'r'
		GROUP BY 1, n.orders HAVING sum(pg_total_relation_size(c.oid)) / n.orders >= 1 ORDER BY 2 DESC`)
	if err != nil {
		return err
	}
	var table string
	var heap, indexes, all float64
	_, err = pgx.ForEachRow(rows, []any{&table, &heap, &indexes}, func() error {
		all += heap + indexes
		_, err := fmt.Fprintf(b.log, "  %-24s %6.0f bytes an order, and %6.0f of indexes\n", table, heap, indexes)
		return err
	})
	_, _ = fmt.Fprintf(b.log, "  %-24s %6.0f bytes an order\n", "all", all)
	return err
}
