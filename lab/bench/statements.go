package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/sandbox/private"
)

const (
	topStatements   = 20
	statementLength = 100
)

// statement is Postgres' work for one kind of statement.
type statement struct {
	Milliseconds float64 `json:"milliseconds"` // in all
	Calls        int64   `json:"calls"`
	Rows         int64   `json:"rows"`
	WAL          int64   `json:"wal"` // bytes
	SQL          string  `json:"sql"` // its beginning
}

// topStatements lists the statements on which Postgres has spent most time in the database; none without
// pg_stat_statements.
func (d *database) topStatements(ctx context.Context) (all []statement, err error) {
	if !d.statements {
		return nil, nil
	}
	rows, err := d.admin.Query(ctx, `SELECT total_exec_time, calls, rows, wal_bytes::bigint,
		left(regexp_replace(regexp_replace(query, '^-- name: ', ''), '\s+', ' ', 'g'), $2)
		FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid AND d.datname = $1
		ORDER BY total_exec_time DESC LIMIT $3`, d.name, statementLength, topStatements)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[statement])
}

// breakdown returns a table of Postgres' work for each order. The times include waits for locks, and not commits.
func breakdown(all []statement, orders int64) string {
	var b strings.Builder
	b.WriteString("| statement | ms/1000 orders | calls each | rows each | WAL KB each |\n" +
		"| --- | ---: | ---: | ---: | ---: |\n")
	for _, s := range all {
		n := float64(orders)
		if s.Milliseconds*thousand/n < 1 {
			break // the rest is negligible
		}
		name, _, _ := strings.Cut(s.SQL, " :")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", strings.ReplaceAll(name, "|", ""),
			number(s.Milliseconds*thousand/n), number(float64(s.Calls)/n), number(float64(s.Rows)/n),
			number(float64(s.WAL)/kilobyte/n))
	}
	return b.String()
}

// saveStatements stores Postgres' work in the database, for n orders: for the page if the page has these orders, and
// beside the profiles if profiles are wanted.
func (b *bench) saveStatements(ctx context.Context, d *database, name string, n int64) error {
	all, err := d.topStatements(ctx)
	if err != nil {
		return err
	}
	table := breakdown(all, n)
	if name == wholeName(millrace, latencyLabel(0)) && len(all) > 0 {
		b.results.Breakdown = table
	}
	if b.profiles == "" {
		return nil
	}
	file, err := private.File(b.profilePath(name, "statements.md"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = file.WriteString(table)
	return errors.Join(err, file.Close())
}
