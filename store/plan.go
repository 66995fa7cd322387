package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// planned has Postgres plan each query for its parameters. A prepared statement gets one plan for any parameters as
// soon as that looks no dearer. For a page of the orders with a status, that plan reads all orders from the newest on,
// which takes seconds for a status that few orders have.
type planned struct{ dbsqlc.DBTX }

// Query sends a query without a name, and in one round trip: the description of its parameters is remembered.
func (p planned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return p.DBTX.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
}
