package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// poolerParam is the parameter of a database URL that says what kind of pooler the URL leads to.
const poolerParam = "pooler"

// pooler is what lies between Millrace and Postgres.
type pooler string

const (
	direct pooler = ""
	// sessionPooler gives each connection a session of Postgres for as long as the connection lasts.
	sessionPooler pooler = "session"
	// transactionPooler gives each transaction some session. What a session keeps, such as SET, LISTEN, prepared
	// statements and session locks, is lost or left to other connections.
	transactionPooler pooler = "transaction"
)

// takePooler takes the pooler's parameter out of a configuration, and adapts how statements are executed. text is the
// URL of the configuration.
func takePooler(c *pgxpool.Config, text string) (pooler, error) {
	params := c.ConnConfig.RuntimeParams
	kind := pooler(params[poolerParam])
	delete(params, poolerParam)
	switch kind {
	case direct, sessionPooler:
		return kind, nil
	case transactionPooler:
	default:
		return direct, fmt.Errorf("pooler=%s in the database URL is unknown: use pooler=transaction or pooler=session", kind)
	}
	limits := limitSettings(false)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		_, startup := startupSettings()[strings.ToLower(name)]
		_, limit := limits[strings.ToLower(name)]
		if !startup && !limit && name != "application_name" {
			return direct, fmt.Errorf("%s in the database URL does not pass a pooler in transaction mode: set it for the "+
				"role, with ALTER ROLE … SET", name)
		}
	}
	switch c.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeDescribeExec:
		return direct, errors.New("default_query_exec_mode=describe_exec in the database URL cannot work behind a pooler " +
			"in transaction mode: leave it out, or use cache_describe")
	case pgx.QueryExecModeCacheStatement:
		if !strings.Contains(text, "default_query_exec_mode") {
			c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // no session has to keep a statement
		}
	default:
	}
	return kind, nil
}

// beginning returns the statement that begins a transaction on a pool. Behind a pooler in transaction mode, the
// statement sets for the transaction what a session would otherwise have.
func beginning(pool *pgxpool.Pool) string {
	c, err := parseURL(pool.Config().ConnConfig.ConnString())
	if err != nil || c.pooler != transactionPooler {
		return ""
	}
	settings := limitSettings(false)
	for name, value := range c.ConnConfig.RuntimeParams {
		if _, limit := settings[strings.ToLower(name)]; limit {
			settings[strings.ToLower(name)] = value
		}
	}
	settings["search_path"], settings["jit"] = "pg_catalog", "off"
	var b strings.Builder
	b.WriteString("BEGIN")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "; SET LOCAL %s = '%s'", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	return b.String()
}

// Pooled reports whether a pool leads through a pooler in transaction mode, where no notification is heard.
func Pooled(pool *pgxpool.Pool) bool { return beginning(pool) != "" }

// errUndeclared refuses a pooler that the URL does not mention: it would lose settings, notifications and locks.
func errUndeclared() error {
	return &SettingError{"a pooler lies between Millrace and Postgres: append pooler=transaction or pooler=session to " +
		"the parameters of the database URL, as docs/pooler.md says, or connect to Postgres itself"}
}

// explainRefusal names the pooler that refuses a connection because of a parameter that Postgres would take.
func explainRefusal(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "08P01" &&
		strings.Contains(pg.Message, "unsupported startup parameter") {
		return fmt.Errorf("%w (%s)", errUndeclared(), pg.Message)
	}
	return err
}

// validatePooled refuses sessions of a pooler in transaction mode that cannot be right. Nothing can be set for such a
// session, so the role, the database and the server have to have what Millrace would set.
func validatePooled(ctx context.Context, conn *pgconn.PgConn, standby bool) error {
	if err := checkEncoding(conn); err != nil {
		return err
	}
	want := meaningSettings()
	names := slices.Sorted(maps.Keys(want))
	var query strings.Builder
	query.WriteString(sessionState)
	for _, name := range names {
		fmt.Fprintf(&query, ", current_setting('%s')", name)
	}
	results, err := conn.Exec(ctx, query.String()).ReadAll()
	if err != nil {
		return fmt.Errorf("look at session: %w", err)
	}
	row := results[0].Rows[0]
	if err := checkState(row, standby); err != nil {
		return err
	}
	for i, name := range names {
		if got := string(row[stateColumns+i]); got != want[name] {
			return &SettingError{fmt.Sprintf("%s is %s, and Millrace cannot set it behind a pooler in transaction mode: "+
				"ALTER ROLE … SET %s = '%s'", name, got, name, want[name])}
		}
	}
	return nil
}

// CheckPooler refuses a pooler that does not carry the way in which statements are executed, and lists the settings
// that the role should have: Millrace can set them in its own transactions only. Without a pooler there are none.
func CheckPooler(ctx context.Context, pool *pgxpool.Pool) (missing []string, err error) {
	if !Pooled(pool) {
		return nil, nil
	}
	if pool.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		if err := checkPrepared(ctx, pool); err != nil {
			return nil, err
		}
	}
	var role string
	var statement, lock, idle, jit bool
	err = pool.QueryRow(ctx, `SELECT quote_ident(current_user), current_setting('statement_timeout') <> '0',
		current_setting('lock_timeout') <> '0', current_setting('idle_in_transaction_session_timeout') <> '0',
		NOT current_setting('jit')::boolean`).Scan(&role, &statement, &lock, &idle, &jit)
	if err != nil {
		return nil, fmt.Errorf("read settings of role: %w", classify(err))
	}
	for _, s := range []struct {
		set         bool
		name, value string
	}{
		{statement, "statement_timeout", statementTimeout},
		{lock, "lock_timeout", lockWait},
		{idle, "idle_in_transaction_session_timeout", idleInTxTimeout},
		{jit, "jit", "off"},
	} {
		if !s.set {
			missing = append(missing, fmt.Sprintf("ALTER ROLE %s SET %s = '%s'", role, s.name, s.value))
		}
	}
	return missing, nil
}

// checkPrepared refuses a pooler that hands on prepared statements as they are. A pooler that keeps track of them, such
// as PgBouncer from 1.21 on with max_prepared_statements, gives them names of its own.
func checkPrepared(ctx context.Context, pool *pgxpool.Pool) error {
	const probe = "millrace_probe"
	var asIs bool
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Prepare(ctx, probe, "SELECT 1"); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name = '"+probe+"')",
			pgx.QueryExecModeSimpleProtocol).Scan(&asIs)
		if err != nil {
			return err
		}
		return tx.Conn().Deallocate(ctx, probe)
	})
	if err != nil {
		return fmt.Errorf("try prepared statements: %w", classify(err))
	}
	if asIs {
		return &SettingError{"the pooler does not keep track of prepared statements: leave default_query_exec_mode out of " +
			"the database URL, or use PgBouncer 1.21 or later with max_prepared_statements"}
	}
	return nil
}
