package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

const (
	topStatements   = 25
	statementLength = 160
)

// saveStatements writes down what Postgres has spent its time on in the database, if profiles are wanted.
func (b *bench) saveStatements(ctx context.Context, d *database, name string) error {
	if b.profiles == "" || !d.statements {
		return nil
	}
	rows, err := d.admin.Query(ctx, `SELECT total_exec_time, calls, rows, wal_bytes::bigint,
		left(regexp_replace(query, '\s+', ' ', 'g'), $2)
		FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid AND d.datname = $1
		ORDER BY total_exec_time DESC LIMIT $3`, d.name, statementLength, topStatements)
	if err != nil {
		return err
	}
	defer rows.Close()
	var text strings.Builder
	text.WriteString("   total ms     calls      rows    WAL KB  statement\n")
	for rows.Next() {
		var ms float64
		var calls, affected, wal int64
		var query string
		if err := rows.Scan(&ms, &calls, &affected, &wal, &query); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%11.0f %9d %9d %9d  %s\n", ms, calls, affected, wal/kilobyte, query)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return os.WriteFile(b.profilePath(name, "statements.txt"), []byte(text.String()), 0o644)
}
