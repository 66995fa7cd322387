package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// A GrantError is the reason why a role is not given the rights that serve needs.
type GrantError struct{ Role, Reason string }

func (e *GrantError) Error() string {
	return fmt.Sprintf("nothing is granted to %q: %s", e.Role, e.Reason)
}

// checkGrantees refuses roles that are missing, or that have more rights than they would be granted, before anything is
// written.
func checkGrantees(ctx context.Context, queries *dbsqlc.Queries, db DB, roles []string) error {
	for _, role := range roles {
		found, err := queries.GrantRole(ctx, db, role)
		if err != nil {
			return fmt.Errorf("look for role: %w", classify(err))
		}
		if len(found) == 0 {
			return &GrantError{role, "this server has no such role, make it with CREATE ROLE … LOGIN"}
		}
		if found[0] {
			return &GrantError{role, "it may do all that the owner of Millrace's tables may do, so serve needs another role"}
		}
	}
	return nil
}

// grant gives roles the rights that serve needs, and no more: docs/security.md lists them. Default privileges cover
// tables that are made later, such as partitions.
func grant(ctx context.Context, queries *dbsqlc.Queries, pool *pgxpool.Pool, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	owner, err := queries.GrantOwner(ctx, pool)
	if err != nil {
		return fmt.Errorf("look for owner of tables: %w", classify(err))
	}
	defaults := "ALTER DEFAULT PRIVILEGES FOR ROLE " + pgx.Identifier{owner}.Sanitize() + " IN SCHEMA " + Schema + " "
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, role := range roles {
			to := " TO " + pgx.Identifier{role}.Sanitize()
			for _, statement := range []string{
				"GRANT USAGE ON SCHEMA " + Schema + to,
				"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + Schema + to,
				"REVOKE UPDATE, DELETE ON " + Schema + ".audit_log FROM " + pgx.Identifier{role}.Sanitize(),
				"GRANT USAGE ON ALL SEQUENCES IN SCHEMA " + Schema + to,
				"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA " + Schema + to,
				defaults + "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES" + to,
				defaults + "GRANT USAGE ON SEQUENCES" + to,
				defaults + "GRANT EXECUTE ON FUNCTIONS" + to,
			} {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return fmt.Errorf("grant to %q: %w", role, err)
				}
			}
		}
		return nil
	})
}
