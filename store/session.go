package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A session inherits settings from its role, its database and the server. Settings that change what statements mean, or
// how long they may take, are set for each session; docs/configuration.md lists them. Settings of cost or durability,
// such as synchronous_commit, work_mem or enable_*, are the operator's.

// startupSettings are part of the request for a connection. PgBouncer knows these.
func startupSettings() map[string]string {
	return map[string]string{
		"client_encoding": "UTF8", "datestyle": "ISO, YMD", "timezone": "UTC", "standard_conforming_strings": "on",
	}
}

// meaningSettings fix what statements mean, whatever the URL has.
func meaningSettings() map[string]string {
	return map[string]string{
		"intervalstyle": "postgres", "extra_float_digits": "1", "bytea_output": "hex", "array_nulls": "on",
		"transform_null_equals": "off", "row_security": "on", "check_function_bodies": "on",
		"default_transaction_isolation": "read committed", "default_transaction_deferrable": "off",
		"default_table_access_method": "heap", "idle_session_timeout": "0", "quote_all_identifiers": "off",
	}
}

// limitSettings bound what a session does. The URL may override them.
func limitSettings(migrating bool) map[string]string {
	s := map[string]string{
		// Building an index on a large table has no time limit.
		"statement_timeout": "0", "lock_timeout": migrationLockWait, "idle_in_transaction_session_timeout": idleInTxTimeout,
	}
	if !migrating {
		s["statement_timeout"], s["lock_timeout"] = statementTimeout, lockWait
	}
	return s
}

// inherit has the sessions of a connection's configuration inherit nothing that matters.
func inherit(c *pgconn.Config, name string, through pooler, standby bool) {
	if through == transactionPooler {
		c.RuntimeParams = startupSettings()
		c.RuntimeParams["application_name"] = "millrace-" + name
		c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			return validatePooled(ctx, conn, standby)
		}
		return
	}
	given := map[string]string{}
	for key, value := range c.RuntimeParams { // a name in two spellings would be sent twice, in either order
		given[strings.ToLower(key)] = value
	}
	settings := meaningSettings()
	if _, ok := given["search_path"]; !ok {
		// Statements name their schemas; names of functions and operators must be Postgres' own.
		settings["search_path"] = "pg_catalog"
	}
	if _, ok := given["jit"]; !ok {
		// The planner overestimates the cost of some rare queries. Compiling the gauges of the queues took 900 ms, and
		// running them 20 ms.
		settings["jit"] = "off"
	}
	for key := range settings {
		delete(given, key)
	}
	for key, value := range limitSettings(name == migrationPool) {
		setDefault(given, key, value)
	}
	_, limited := given["transaction_timeout"]
	if through == sessionPooler { // which does not know them, or ignores them
		maps.Copy(settings, given)
		clear(given)
		delete(settings, "application_name")
		for key := range startupSettings() {
			delete(settings, key)
		}
	}
	maps.Copy(given, startupSettings())
	given["application_name"] = "millrace-" + name
	c.RuntimeParams = given

	var set strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&set, "SET %s = '%s'; ", key, strings.ReplaceAll(settings[key], "'", "''"))
	}
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		sql := set.String()
		if !limited && versionOf(conn) >= 17 {
			sql += "SET transaction_timeout = 0; "
		}
		return validate(ctx, conn, sql, through, standby)
	}
}

const (
	sessionState = "SELECT current_setting('transaction_read_only'), current_setting('session_replication_role'), " +
		"pg_catalog.pg_backend_pid()"
	stateColumns = 3
)

// errReadOnly reports that a server accepts no writes; another server of the URL may.
var errReadOnly = errors.New("the server is read-only: it is a standby, or default_transaction_read_only is on")

// errNotStandby reports that a server which is named as a replica accepts writes.
var errNotStandby = errors.New("the server accepts writes: it is not a standby")

// validate sets what remains to be set, and refuses sessions that cannot be right.
func validate(ctx context.Context, conn *pgconn.PgConn, set string, through pooler, standby bool) error {
	if err := checkEncoding(conn); err != nil {
		return err
	}
	results, err := conn.Exec(ctx, set+sessionState).ReadAll()
	if err != nil {
		return fmt.Errorf("set up session: %w", err)
	}
	row := results[len(results)-1].Rows[0]
	// A pooler makes up the process id that a client may cancel.
	if through == direct && string(row[2]) != strconv.FormatUint(uint64(conn.PID()), 10) {
		return errUndeclared()
	}
	return checkState(row, standby)
}

func checkEncoding(conn *pgconn.PgConn) error {
	if encoding := conn.ParameterStatus("server_encoding"); encoding != "UTF8" {
		return &SettingError{fmt.Sprintf("the encoding of the database is %s, in which not every name can be stored: make "+
			"one with ENCODING 'UTF8' TEMPLATE template0", encoding)}
	}
	return nil
}

// checkState looks at what sessionState returned.
func checkState(row [][]byte, standby bool) error {
	switch readOnly := string(row[0]) != "off"; {
	case readOnly && !standby:
		return errReadOnly
	case standby && !readOnly:
		return errNotStandby
	}
	if string(row[1]) == "replica" {
		return &SettingError{"session_replication_role is replica, which switches off the triggers that guard the audit " +
			"log: reset it for the role and the database"}
	}
	return nil
}

// A SettingError names a setting of the database or of the role that Millrace cannot work with.
type SettingError struct{ Reason string }

func (e *SettingError) Error() string { return "a setting of the database: " + e.Reason }

// versionOf returns the server's major version.
func versionOf(conn *pgconn.PgConn) (major int) {
	_, _ = fmt.Sscanf(conn.ParameterStatus("server_version"), "%d", &major)
	return major
}

func setDefault(params map[string]string, name, value string) {
	if _, ok := params[name]; !ok {
		params[name] = value
	}
}
