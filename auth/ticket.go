package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/store"
)

// Ticket returns the ticket that a principal may give away: it is as good as the credential that the principal came
// with, until it expires.
func (p Principal) Ticket(expires time.Time) store.Ticket {
	return store.Ticket{
		Principal: p.Name, Role: p.Role, CustomerID: p.CustomerID, KeyID: string(p.key), GoodUntil: p.until,
		ExpiresAt: expires,
	}
}

// Identify finds out who sent a request: by a ticket, or if its text is empty, as Authenticate does. again asks whether
// the principal would still be let in, for an answer that takes long. It holds on to nothing of the request but its
// credential.
func (a *Authenticator) Identify(r *http.Request, ticket string) (
	p Principal, again func(context.Context) error, err error,
) {
	if ticket != "" {
		t, err := a.admit(r.Context(), ticket)
		return Principal{
			Name: t.Principal, Role: t.Role, CustomerID: t.CustomerID, kind: kindTicket, key: keyID(t.KeyID),
		}, func(ctx context.Context) error { return a.uphold(ctx, t) }, err
	}
	p, err = a.Authenticate(r, false)
	credential := &http.Request{Header: http.Header{"Authorization": r.Header["Authorization"]}}
	return p, func(ctx context.Context) error { return a.stillAllowed(credential.WithContext(ctx), p) }, err
}

// stillAllowed asks again. A role that changed counts as gone.
func (a *Authenticator) stillAllowed(r *http.Request, was Principal) error {
	now, err := a.Authenticate(r, false)
	if err == nil && now != was {
		return ErrUnauthorized
	}
	return err
}

// RecognizesTicket reports whether it costs no look-up to refuse a text as a ticket, or this process made the ticket.
func (a *Authenticator) RecognizesTicket(text string) bool {
	return a == nil || a.config.Keys == nil || !store.IsTicket(text) || a.tickets.Contains(ticketHash(hashOf(text)))
}

// RecognizeTicket hears of a ticket that this process made: checking it needs no room under the limit of its address.
func (a *Authenticator) RecognizeTicket(text string) {
	a.tickets.Add(ticketHash(hashOf(text)), struct{}{})
}

// admit finds the ticket that a text is of. Errors are those of Authenticate.
func (a *Authenticator) admit(ctx context.Context, text string) (store.Ticket, error) {
	if a == nil || a.config.Keys == nil {
		return store.Ticket{}, ErrUnauthorized
	}
	ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
	defer cancel()
	ticket, err := a.config.Keys.VerifyTicket(ctx, text)
	if errors.Is(err, store.ErrTicketRefused) {
		a.tickets.Remove(ticketHash(hashOf(text)))
		return ticket, ErrUnauthorized
	}
	if err == nil {
		err = a.uphold(ctx, ticket)
	}
	return ticket, err
}

// uphold checks that what a ticket was made with is still good. The ticket itself may have expired since: then it opens
// no more streams, and ends none.
func (a *Authenticator) uphold(ctx context.Context, t store.Ticket) error {
	switch {
	case !t.GoodUntil.IsZero() && !a.config.Now().Before(t.GoodUntil):
		return ErrUnauthorized
	case t.Principal == nameDev && !a.IsOpen(), t.Principal == nameToken && a.config.Token == "":
		return ErrUnauthorized
	case t.KeyID == "":
		return nil
	}
	return a.holds(ctx, keyID(t.KeyID))
}
