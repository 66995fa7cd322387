package sql_test

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sql"
)

// rulesSince is the first migration that the rules apply to. Earlier ones ran before the first release, on small
// tables.
const rulesSince = 31

// rule is what a statement of a migration must not do. CONTRIBUTING.md explains the rules. A line
//
//	-- allow RULE: reason
//
// in the file makes an exception, such as for a table that is always small.
type rule struct {
	name     string
	pattern  *regexp.Regexp
	unless   *regexp.Regexp // of the same statement
	contract bool           // breaks programs of the version before, unless they stopped reading before that
	means    string
}

func rules() []rule {
	re := func(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?is)` + pattern) }
	return []rule{
		{
			"index", re(`^CREATE\s+(UNIQUE\s+)?INDEX\b`), re(`\bCONCURRENTLY\b`), false,
			"an index that is not made CONCURRENTLY stops all writes to its table meanwhile",
		},
		{
			"drop-index", re(`^DROP\s+INDEX\b`), re(`\bCONCURRENTLY\b`), false,
			"an index that is not dropped CONCURRENTLY waits for every reader, and every reader waits for it",
		},
		{
			"validate",
			re(`\bADD\s+CONSTRAINT\b.*\b(CHECK|FOREIGN\s+KEY)\b|\bADD\s+(CHECK|FOREIGN\s+KEY)\b|` +
				`\bADD\s+COLUMN\b.*\b(CHECK|REFERENCES)\b`),
			re(`\bNOT\s+VALID\b`), false,
			"a constraint that is not NOT VALID at first, also that of a new column, reads the whole table under a lock: " +
				"validate it in a statement of its own",
		},
		{
			"unique",
			re(`\bADD\s+CONSTRAINT\b.*\b(UNIQUE|PRIMARY\s+KEY|EXCLUDE)\b`), re(`\bUSING\s+INDEX\b`), false,
			"a unique constraint builds its index under a lock: make the index CONCURRENTLY and add it USING INDEX",
		},
		{
			"not-null", re(`\bSET\s+NOT\s+NULL\b`), nil, false,
			"SET NOT NULL reads the whole table under a lock: add a CHECK that is NOT VALID, and validate it",
		},
		{
			"rewrite",
			re(`\bALTER\s+(COLUMN\s+)?\S+\s+(SET\s+DATA\s+)?TYPE\b|` +
				`^CLUSTER\b|^VACUUM\s+FULL\b|\bSET\s+(LOGGED|UNLOGGED)\b`),
			nil, false, "it writes the whole table again under a lock",
		},
		{
			"default",
			re(`\bADD\s+(COLUMN\s+)?[^,]*\bDEFAULT\s+` +
				`(now|clock_timestamp|statement_timestamp|random|gen_random_uuid|nextval)\b`),
			re(`\bDEFAULT\s+now\b`), false, "a volatile default writes the whole table again under a lock",
		},
		{
			"lock", re(`^LOCK\s+TABLE\b`), re(`\bIN\s+SHARE\s+UPDATE\s+EXCLUSIVE\s+MODE$`), false,
			"it stops everything else on the table until the migration ends",
		},
		{
			"update", re(`^(UPDATE|DELETE)\b`), nil, false,
			"one transaction that changes many rows holds back vacuum, the feed and every writer of these rows: " +
				"do it in batches, in jobs",
		},
		{
			"insert", re(`^INSERT\s+INTO\b.*\bFROM\s+millrace\.(orders|order_\w+|river_job|webhook_deliveries)\b`), nil, false,
			"readers of the log wait for older transactions: read a large table in pages, each in its own transaction",
		},
		{
			"required", re(`\bADD\s+COLUMN\b[^,]*\bNOT\s+NULL\b`), re(`\bDEFAULT\b`), true,
			"inserts of the version before do not have the column",
		},
		{
			"drop", re(`\bDROP\s+(TABLE|VIEW|FUNCTION|TYPE|SCHEMA|SEQUENCE|COLUMN)\b`), nil, true,
			"the version before reads it",
		},
		{
			"rename", re(`\bRENAME\s+(TO|COLUMN|CONSTRAINT)\b|\bRENAME\s+\S+\s+TO\b`), nil, true,
			"the version before knows the old name",
		},
	}
}

// stopping are statements whose lock stops readers or writers, except those that are also harmless.
var (
	lockLimit = regexp.MustCompile(`(?i)^(?:RE)?SET\s+(?:LOCAL\s+)?lock_timeout\b(.*)|` +
		`^PERFORM\s+set_config\('lock_timeout',\s*('[^']*')`)
	stopping = regexp.MustCompile(
		`(?is)^(ALTER\s+TABLE|(CREATE|DROP)\s+(OR\s+REPLACE\s+)?(TRIGGER|VIEW|TABLE)|TRUNCATE)\b`)
	harmless = regexp.MustCompile(`(?is)^CREATE\s+TABLE\b|^ALTER\s+TABLE\s+\S+\s+(SET\s*\(|VALIDATE\b)[^,]*($|.*\))`)
)

// lint returns what is wrong with a migration.
func lint(file, content string) []string {
	l := linter{file: file, allowed: map[string]bool{}}
	for _, match := range regexp.MustCompile(`(?m)^\s*-- allow ([a-z-]+): \S.*$`).FindAllStringSubmatch(content, -1) {
		l.allowed[match[1]] = true
	}
	statements := split(content)
	create := regexp.MustCompile(`(?i)^CREATE\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?([\w.]+)`)
	for _, s := range statements {
		if match := create.FindStringSubmatch(s.text); match != nil {
			l.made = append(l.made, strings.ToLower(match[2]))
		}
	}
	has := func(pattern string) bool {
		return slices.ContainsFunc(statements, func(s statement) bool {
			return regexp.MustCompile(pattern).MatchString(s.text)
		})
	}
	l.compatible = has(`(?i)^INSERT\s+INTO\s+millrace\.schema_compatibility\b`)
	l.check(statements, false)
	if has(`(?i)\bINDEX\s+CONCURRENTLY\b`) && !strings.Contains(content, "+goose NO TRANSACTION") {
		l.problems = append(l.problems, file+": CONCURRENTLY needs -- +goose NO TRANSACTION")
	}
	return l.problems
}

// linter checks one migration.
type linter struct {
	file       string
	allowed    map[string]bool // rules with an exception
	made       []string        // tables that the migration creates: an empty table has nothing to lock
	compatible bool            // programs of the version before may run beside it
	problems   []string
}

// check checks statements in turn. At first they wait as long for a lock as the session does, or longer: patient.
func (l *linter) check(statements []statement, patient bool) {
	pages := slices.ContainsFunc(statements, func(s statement) bool { return strings.EqualFold(s.text, "COMMIT") })
	for _, s := range statements {
		if match := lockLimit.FindStringSubmatch(s.text); match != nil {
			value := strings.Trim(match[1]+match[2], " =")
			patient = value != "" && value != "'100ms'"
		}
		l.check(s.block, patient) // what it sets ends with it
		if slices.Contains(l.made, tableOf(s.text)) {
			continue
		}
		if patient && stopping.MatchString(s.text) && !harmless.MatchString(s.text) && !l.allowed["patient"] {
			l.problems = append(l.problems, fmt.Sprintf("%s: patient: %.60q: while it waits for its lock, all sessions that "+
				"need the table queue behind it: run it before lock_timeout is set, or after it is reset", l.file, s.text))
		}
		for _, r := range rules() {
			if pages && (r.name == "update" || r.name == "insert") {
				continue // each page is a transaction
			}
			broken := slices.ContainsFunc(actions(s.text), func(action string) bool {
				return r.pattern.MatchString(action) && (r.unless == nil || !r.unless.MatchString(action))
			})
			if !broken || l.allowed[r.name] || r.contract && !l.compatible {
				continue // without its row in schema_compatibility, no program of an older version runs
			}
			l.problems = append(l.problems, fmt.Sprintf("%s: %s: %.60q: %s", l.file, r.name, s.text, r.means))
		}
	}
}

// actions returns the parts of an ALTER TABLE, such as the columns that it adds, and other statements whole.
func actions(statement string) (parts []string) {
	if !regexp.MustCompile(`(?i)^ALTER\s+TABLE\b`).MatchString(statement) {
		return []string{statement}
	}
	depth, begin := 0, 0
	for i, c := range statement {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			parts, begin = append(parts, statement[begin:i]), i+1
		}
	}
	return append(parts, statement[begin:])
}

// tableOf returns the table that a statement is about, in lower case; empty if it is none or unknown.
func tableOf(statement string) string {
	match := regexp.MustCompile(`(?is)^(?:ALTER\s+TABLE|CREATE\s+(?:UNIQUE\s+)?INDEX\s.*?\bON|UPDATE|DELETE\s+FROM)` +
		`\s+(?:IF\s+EXISTS\s+|ONLY\s+)*([\w.]+)`).FindStringSubmatch(statement)
	if match == nil {
		return ""
	}
	return strings.ToLower(match[1])
}

// statement is a statement of a migration, without comments. A DO block also has the statements of its body.
type statement struct {
	text  string
	block []statement
}

// split returns the statements of a migration. Bodies of functions are left out: they run later.
func split(content string) (statements []statement) {
	tokens := regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$\w*\$.*?\$\w*\$|;|[^;'$/-]+|.`)
	keywords := regexp.MustCompile(`(?is)^((BEGIN|LOOP|ELSE|(IF|FOR|WHILE)\s.*?\s(THEN|LOOP))\s+)+`)
	var s strings.Builder
	var block []statement
	for _, token := range append(tokens.FindAllString(content, -1), ";") {
		switch {
		case strings.HasPrefix(token, "--"), strings.HasPrefix(token, "/*"):
			s.WriteByte(' ')
		case strings.HasPrefix(token, "$") && len(token) > 1:
			if regexp.MustCompile(`(?i)^\s*DO\s*$`).MatchString(s.String()) {
				tag := strings.Index(token[1:], "$") + 2
				block = split(token[tag : len(token)-tag])
			}
			s.WriteString("$$")
		case token == ";":
			if text := keywords.ReplaceAllString(strings.TrimSpace(s.String()), ""); text != "" {
				statements = append(statements, statement{text, block})
			}
			s.Reset()
			block = nil
		default:
			s.WriteString(token)
		}
	}
	return statements
}

// TestMigrationsLockShortly checks every migration against the rules.
func TestMigrationsLockShortly(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(sql.Migrations, "migrations/*.sql")
	require.NoError(t, err)
	for _, file := range files {
		number, err := strconv.Atoi(path.Base(file)[:4])
		require.NoError(t, err)
		if number < rulesSince {
			continue
		}
		content, err := fs.ReadFile(sql.Migrations, file)
		require.NoError(t, err)
		for _, problem := range lint(path.Base(file), string(content)) {
			t.Error(problem)
		}
	}
}

// TestMigrationRules has each rule find what it is for, and leave alone what is allowed.
func TestMigrationRules(t *testing.T) {
	t.Parallel()
	const compatible = "\nINSERT INTO millrace.schema_compatibility VALUES (99, 31);"
	for statement, rule := range map[string]string{
		"CREATE INDEX i ON millrace.orders (a)":                      "index",
		"create unique index i on millrace.orders (a)":               "index",
		"DROP INDEX millrace.i":                                      "drop-index",
		"ALTER TABLE millrace.orders ADD CONSTRAINT c CHECK (a > 0)": "validate",
		`ALTER TABLE millrace.orders ADD COLUMN b int CONSTRAINT x CHECK (b > 0), ADD CONSTRAINT c
			FOREIGN KEY (a) REFERENCES millrace.o`: "validate",
		"ALTER TABLE millrace.orders ADD CONSTRAINT c UNIQUE (a)":       "unique",
		"ALTER TABLE millrace.orders ALTER COLUMN a SET NOT NULL":       "not-null",
		"ALTER TABLE millrace.orders ALTER a TYPE bigint":               "rewrite",
		"VACUUM FULL millrace.orders":                                   "rewrite",
		"ALTER TABLE millrace.orders ADD COLUMN a text CHECK (a <> '')": "validate",
		`ALTER TABLE millrace.orders ADD COLUMN a text CHECK (a IN ('b', 'c')), ADD CONSTRAINT c
			CHECK (a <> 'd') NOT VALID`: "validate",
		"DO $$ BEGIN ALTER TABLE millrace.orders ADD COLUMN a text CHECK (a <> ''); END $$": "validate",
		"DO $$ BEGIN IF a THEN LOCK TABLE millrace.orders; END IF; END $$":                  "lock",
		"DO $$ BEGIN UPDATE millrace.orders SET a = 1; END $$":                              "update",
		`DO $do$ BEGIN
			PERFORM set_config('lock_timeout', '10s', true);
			ALTER TABLE millrace.orders ADD COLUMN a int;
		END $do$`: "patient",
		"ALTER TABLE millrace.orders ADD COLUMN a uuid DEFAULT gen_random_uuid()": "default",
		"LOCK TABLE millrace.orders":                                             "lock",
		"INSERT INTO millrace.t (a) SELECT o.id FROM millrace.orders o":          "insert",
		"SET lock_timeout = 0; ALTER TABLE millrace.orders ADD COLUMN a int":     "patient",
		"SET lock_timeout = '5s'; CREATE OR REPLACE VIEW millrace.v AS SELECT 1": "patient",
		"UPDATE millrace.orders SET a = 1":                                       "update",
		"ALTER TABLE millrace.orders ADD COLUMN a int NOT NULL":                  "required",
		"ALTER TABLE millrace.orders DROP COLUMN a":                              "drop",
		"DROP TABLE millrace.orders":                                             "drop",
		"ALTER TABLE millrace.orders RENAME COLUMN a TO b":                       "rename",
		"ALTER TABLE millrace.orders RENAME TO o":                                "rename",
	} {
		found := lint("0099_x.sql", "-- +goose Up\n"+statement+";"+compatible)
		require.Len(t, found, 1, statement)
		require.Contains(t, found[0], "0099_x.sql: "+rule+": ", statement)
		require.Empty(t, lint("0099_x.sql", "-- allow "+rule+": the table is small\n"+statement+";"+compatible), statement)
	}
	for _, fine := range []string{
		"-- +goose NO TRANSACTION\nCREATE INDEX CONCURRENTLY i ON millrace.orders (a);",
		`CREATE TABLE millrace.t (a int NOT NULL CHECK (a > 0));
			CREATE INDEX i ON millrace.t (a); UPDATE millrace.t SET a = 1;`,
		"ALTER TABLE millrace.orders ADD COLUMN a int NOT NULL DEFAULT 0;" + compatible,
		"ALTER TABLE millrace.orders ADD CONSTRAINT c CHECK (a > 0) NOT VALID;",
		"ALTER TABLE millrace.orders VALIDATE CONSTRAINT c;",
		"SET lock_timeout = 0; ALTER TABLE millrace.orders VALIDATE CONSTRAINT c;",
		"SET LOCAL lock_timeout = '5s'; ALTER TABLE millrace.orders SET (fillfactor = 60, autovacuum_enabled = on);",
		"SET lock_timeout = 0; RESET lock_timeout; ALTER TABLE millrace.orders ADD COLUMN a int;" + compatible,
		"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE x; UPDATE x SET a = 1; END $$;",
		`DO $$ BEGIN
			PERFORM set_config('lock_timeout', '10s', true);
			LOCK TABLE millrace.orders IN SHARE UPDATE EXCLUSIVE MODE;
			PERFORM set_config('lock_timeout', '100ms', true);
			ALTER TABLE millrace.orders ADD COLUMN a int;
		END $$;` + compatible,
		"DO $$ BEGIN LOOP UPDATE millrace.orders SET a = 1 WHERE id = n; COMMIT; EXIT WHEN NOT FOUND; END LOOP; END $$;",
		"COMMENT ON TABLE millrace.orders IS 'DROP TABLE; it''s ; UPDATE';",
		"-- DROP TABLE millrace.orders;",
		"ALTER TABLE millrace.orders DROP COLUMN a; -- no program of the version before runs beside this",
	} {
		require.Empty(t, lint("0099_x.sql", fine), fine)
	}
	require.NotEmpty(t, lint("0099_x.sql", "CREATE INDEX CONCURRENTLY i ON millrace.orders (a);"), "in a transaction")
	require.NotEmpty(t, lint("0099_x.sql", "CREATE INDEX i ON millrace.t (a); -- allow index:"), "without a reason")
}
