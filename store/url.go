package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errDatabaseURL contains no part of the URL: any part may belong to the password.
var errDatabaseURL = errors.New("malformed database URL")

// CheckDatabaseURL returns what is wrong with a database URL, without any part of the URL. A URL whose password is not
// percent-encoded may parse, with a part of the password as its host. That host would be looked up, and shown in
// errors.
func CheckDatabaseURL(text string) error {
	_, err := parseURL(text)
	return err
}

// CheckDirectURL reports what is wrong with the URL of Postgres itself. No pooler in transaction mode hands on
// notifications.
func CheckDirectURL(text string) error {
	c, err := parseURL(text)
	if err == nil && c.pooler == transactionPooler {
		return errors.New("this URL leads to Postgres itself, without a pooler in transaction mode")
	}
	return err
}

// address is what a database URL says.
type address struct {
	*pgxpool.Config

	pooler pooler
}

func parseURL(text string) (address, error) {
	text, err := readURL(text)
	if err != nil {
		return address{}, err
	}
	if err := checkReserved(text); err != nil {
		return address{}, err
	}
	c, err := pgxpool.ParseConfig(text)
	if err != nil {
		return address{}, errDatabaseURL // pgx's own message may show parts of the password
	}
	through, err := takePooler(c, text)
	if err != nil {
		return address{}, err
	}
	cacheless := func(capacity int, setting string) error {
		if capacity > 0 {
			return nil
		}
		return fmt.Errorf("%s=0 in the database URL cannot work: leave it out", setting)
	}
	switch mode := c.ConnConfig.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeCacheStatement:
		err = cacheless(c.ConnConfig.StatementCacheCapacity, "statement_cache_capacity")
	case pgx.QueryExecModeCacheDescribe:
		err = cacheless(c.ConnConfig.DescriptionCacheCapacity, "description_cache_capacity")
	case pgx.QueryExecModeDescribeExec:
	default:
		err = fmt.Errorf("default_query_exec_mode=%s in the database URL cannot work: arguments are arrays whose types "+
			"Postgres has to say. Use cache_statement or, behind a pooler, cache_describe",
			strings.ReplaceAll(mode.String(), " ", "_"))
	}
	return address{c, through}, err
}

// checkReserved is stricter than net/url: it accepts reserved characters in their own role only.
func checkReserved(text string) error {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme != "postgres" && scheme != "postgresql" {
		if strings.Contains(text, "://") {
			return fmt.Errorf("%w: it begins with postgres://", errDatabaseURL)
		}
		return nil // keywords and values, as in "host=db user=millrace"
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if strings.Contains(rest, "#") || strings.ContainsFunc(rest, isBlank) ||
		strings.Count(rest, "@") > strings.Count(authority, "@") ||
		strings.Count(authority, "@") > 1 {
		return fmt.Errorf("%w: percent-encode what is reserved in the user and the password: @ is %%40, / is %%2F, "+
			"# is %%23, ? is %%3F, : is %%3A and %% is %%25", errDatabaseURL)
	}
	return nil
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// filePrefix marks the name of a file that holds a database URL.
const filePrefix = "file:"

// URLFile returns the text that stands for the URL in a file. The file is read again for every connection, so a new
// password is used at once.
func URLFile(path string) string { return filePrefix + path }

func readURL(text string) (string, error) {
	path, ok := strings.CutPrefix(text, filePrefix)
	if !ok {
		return text, nil
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("read the file of the database URL: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
