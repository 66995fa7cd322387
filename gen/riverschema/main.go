// Command riverschema prints the schema that River's migrations make, so that sqlc can check our queries on
// river_job. The output is sql/river.sql; nothing executes it.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/millrace-orders/millrace/sql"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "riverschema:", err)
		os.Exit(1)
	}
}

func run() error {
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err != nil {
		return err
	}
	fmt.Println("-- Printed by go run ./gen/riverschema from River's own migrations (MPL-2.0), for sqlc to read.")
	fmt.Printf("\nCREATE SCHEMA %s;\n", sql.Schema)
	for _, m := range migrator.AllVersions() {
		up := strings.ReplaceAll(m.SQLUp, "/* TEMPLATE: schema */", sql.Schema+".")
		fmt.Printf("\n-- %d: %s\n%s", m.Version, m.Name, up)
	}
	return nil
}
