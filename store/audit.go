package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Audit is the log of operators' actions.
type Audit struct {
	*database
}

// Actor is the caller that did something, and where the caller was.
type Actor struct {
	Name          string // a key's id, oidc:<subject>, or another name of the caller
	Role          roles.Role
	RequestID     string // empty on the command line
	RemoteAddress string
}

// AuditEntry is one action of an operator, done or attempted.
type AuditEntry struct {
	ID int64     // set by the audit log
	At time.Time // set by the audit log
	Actor
	Action string         // what: an operation's id, keys.create, or a method and a path
	Target string         // what the action was applied to
	Detail map[string]any // further facts; small
}

// Write appends to the audit log. The database refuses to change an entry later.
func (s *Audit) Write(ctx context.Context, entries []AuditEntry) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error { return s.audit(ctx, tx, entries) })
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// audit appends entries in the transaction of the change that they describe.
func (s *database) audit(ctx context.Context, tx pgx.Tx, entries []AuditEntry) error {
	params := new(dbsqlc.AuditInsertParams)
	for _, e := range entries {
		if e.Detail == nil {
			e.Detail = map[string]any{}
		}
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("encode detail: %w", err)
		}
		params.At = append(params.At, timestamp(s.now()))
		params.Actors = append(params.Actors, printable(e.Name, orders.MaxTextLength))
		params.Roles = append(params.Roles, string(e.Role))
		params.Actions = append(params.Actions, printable(e.Action, 100))
		params.Targets = append(params.Targets, printable(e.Target, orders.MaxTextLength))
		params.RequestIds = append(params.RequestIds, printable(e.RequestID, 64))
		params.RemoteAddresses = append(params.RemoteAddresses, printable(e.RemoteAddress, 100))
		params.Details = append(params.Details, string(detail))
	}
	return s.queries.AuditInsert(ctx, tx, params)
}

// printable makes a text fit for its column and for a terminal. Callers choose paths and headers freely, and an entry
// must not be lost because of them.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}

// AuditText returns a value of an entry as JSON. Characters with which a text could hide a part of itself from its
// reader, such as those that reverse its direction, are escaped.
func AuditText(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "unreadable" // cannot happen: it was read from JSON
	}
	var text strings.Builder
	for _, r := range string(encoded) {
		if unicode.IsPrint(r) {
			text.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
	}
	return text.String()
}

// List returns the latest entries of the audit log, newest first.
func (s *Audit) List(ctx context.Context, limit int) ([]AuditEntry, error) {
	rows, err := s.queries.AuditList(ctx, s.db, int32(limit))
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	entries := make([]AuditEntry, len(rows))
	for i, row := range rows {
		entries[i] = AuditEntry{
			ID: row.ID, At: row.At, Action: row.Action, Target: row.Target,
			Actor: Actor{
				Name: row.Actor, Role: roles.Role(row.Role), RequestID: row.RequestID, RemoteAddress: row.RemoteAddress,
			},
		}
		if err := json.Unmarshal(row.Detail, &entries[i].Detail); err != nil {
			return nil, fmt.Errorf("decode detail: %w", err)
		}
	}
	return entries, nil
}
