// Package sql holds the schema and the queries. Only store imports it.
package sql

import "embed"

// Migrations are the numbered, forward-only steps of the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS
