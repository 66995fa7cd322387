package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/store"
)

// ticketLife is long enough to open a stream with, and for a browser that is cut off at once to reconnect.
const ticketLife = time.Minute

// Ticket returns a ticket that the principal may give away. Until it expires, the ticket has the rights of the
// principal's credential.
func (p Principal) Ticket(now time.Time) store.Ticket {
	return store.Ticket{
		Principal: p.Name, Role: p.Role, CustomerID: p.CustomerID, KeyID: string(p.key), GoodUntil: p.until,
		ExpiresAt: now.Add(ticketLife).UTC(),
	}
}

// Identify returns the principal that sent a request: by a ticket or, if its text is empty, as Authenticate does. For a
// long answer, again checks whether the principal would still be accepted. It keeps only the credential of the request.
func (a *Authenticator) Identify(r *http.Request, ticket string) (
	p Principal, again func(context.Context) error, err error,
) {
	if ticket != "" {
		t, err := a.admit(r.Context(), ticket)
		return Principal{
			Name: t.Principal, Role: t.Role, CustomerID: t.CustomerID, kind: kindTicket, key: keyID(t.KeyID),
		}, func(ctx context.Context) error { return a.uphold(ctx, t) }, err
	}
	was, err := a.Authenticate(r, false)
	credential := r.Header["Authorization"]
	return was, func(ctx context.Context) error { return a.stillAllowed(ctx, credential, was) }, err
}

// stillAllowed authenticates again. A principal whose role has changed is refused.
func (a *Authenticator) stillAllowed(ctx context.Context, credential []string, was Principal) error {
	r := (&http.Request{Header: http.Header{"Authorization": credential}}).WithContext(ctx)
	now, err := a.Authenticate(r, false)
	if err == nil && now != was {
		return ErrUnauthorized
	}
	return err
}

// RecognizesTicket reports whether a text can be refused as a ticket without a look-up, or this process made the
// ticket.
func (a *Authenticator) RecognizesTicket(text string) bool {
	return a == nil || a.config.Keys == nil || !store.IsTicket(text) || a.tickets.Contains(ticketHash(hashOf(text)))
}

// RecognizeTicket remembers a ticket that this process made, so that its check does not need room under the limit of
// its address.
func (a *Authenticator) RecognizeTicket(text string) {
	a.tickets.Add(ticketHash(hashOf(text)), struct{}{})
}

// admit returns the ticket with a given text. Its errors are those of Authenticate.
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

// uphold checks that the credential behind a ticket is still valid. The ticket itself may have expired: an expired
// ticket opens no new streams, but open streams go on.
func (a *Authenticator) uphold(ctx context.Context, t store.Ticket) error {
	switch {
	case !t.GoodUntil.IsZero() && !a.config.Now().Before(t.GoodUntil):
		return ErrUnauthorized
	case t.Principal == nameDev && !a.IsOpen(), t.Principal == nameToken && !a.isOfToken(t):
		return ErrUnauthorized
	case t.KeyID == "":
		return nil
	}
	return a.holds(ctx, keyID(t.KeyID))
}

// isOfToken reports whether a ticket was made with the token as it is now. The database does not have the token, so the
// time decides.
func (a *Authenticator) isOfToken(t store.Ticket) bool {
	renewed := a.renewed.Load()
	return *a.token.Load() != "" && (renewed == nil || t.ExpiresAt.Add(-ticketLife).After(*renewed))
}
