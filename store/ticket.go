package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// MaxTickets is about how many unexpired tickets a principal may have. A page that follows events needs one when it is
// opened and whenever its stream breaks, so this is far more than a shop has.
const MaxTickets = 10_000

// Errors about tickets.
var (
	// ErrTicketRefused reports that a ticket is malformed, unknown or expired, and not which of these.
	ErrTicketRefused = errors.New("ticket refused")
	// ErrTooManyTickets reports that the principal has MaxTickets.
	ErrTooManyTickets = errors.New("too many tickets")
)

// Ticket lets a caller that has its text follow events for a short time, and nothing else. It is only as good as the
// credential that it was made with: code that accepts a ticket must check that credential as well.
type Ticket struct {
	Principal  string // the principal that asked for it
	Role       roles.Role
	CustomerID string    // of a customer's ticket: the customer whose orders it shows
	KeyID      string    // the key that it was made with; empty: it was made with another credential
	GoodUntil  time.Time // when the credential that it was made with expires; zero: never, or as the key does
	ExpiresAt  time.Time
}

// MakeTickets stores tickets, all or none, and returns their texts, which are not stored. Error: ErrTooManyTickets.
func (s *Credentials) MakeTickets(ctx context.Context, tickets []Ticket) (texts []string, err error) {
	params := &dbsqlc.TicketsInsertParams{Now: s.now(), Most: MaxTickets}
	for _, t := range tickets {
		_, secret := newCredential()
		texts = append(texts, secret)
		params.SecretsSha256 = append(params.SecretsSha256, hashSecret(secret))
		params.Principals = append(params.Principals, t.Principal)
		params.Roles = append(params.Roles, string(t.Role))
		params.CustomerIds = append(params.CustomerIds, t.CustomerID)
		params.KeyIds = append(params.KeyIds, t.KeyID)
		params.GoodUntil = append(params.GoodUntil, timestamp(t.GoodUntil))
		params.ExpiresAt = append(params.ExpiresAt, timestamp(t.ExpiresAt))
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		stored, err := s.queries.TicketsInsert(ctx, tx, params)
		if err == nil && stored < int64(len(tickets)) {
			return ErrTooManyTickets
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make tickets: %w", err)
	}
	return texts, nil
}

// VerifyTicket returns the ticket with a text.
//
// Errors: ErrTicketRefused; any other error is the database's and reports nothing about the ticket.
func (s *Credentials) VerifyTicket(ctx context.Context, text string) (Ticket, error) {
	if !IsTicket(text) {
		return Ticket{}, ErrTicketRefused
	}
	row, err := s.queries.TicketRead(ctx, s.db, &dbsqlc.TicketReadParams{SecretSha256: hashSecret(text), Now: s.now()})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Ticket{}, ErrTicketRefused
	case err != nil:
		return Ticket{}, fmt.Errorf("read ticket: %w", err)
	}
	return Ticket{
		Principal: row.Principal, Role: roles.Role(row.Role), CustomerID: row.CustomerID, KeyID: row.KeyID.String,
		GoodUntil: row.GoodUntil.Time.UTC(), ExpiresAt: row.ExpiresAt.UTC(),
	}, nil
}
