// Package sql holds the schema and the queries. Only store imports it, and the generator of river.sql.
package sql

import "embed"

// Schema is the schema in the database that everything of Millrace's is in, River's tables included. Every statement
// names it, so that no setting of a session decides which tables are meant.
const Schema = "millrace"

// Migrations are the numbered, forward-only steps of the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// VersionTable makes the table of which migrations were applied.
//
//go:embed version.sql
var VersionTable string
