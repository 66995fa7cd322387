package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
)

var errTooManyTickets = problems.New(problems.TooMany, "too_many_tickets",
	"You have too many tickets that have not expired. They do within a minute.").
	RetryAfter(10 * time.Second).For(store.ErrTooManyTickets)

// TicketRequest says what a ticket is for.
type TicketRequest struct {
	CustomerID customerID `json:"customerId,omitempty" example:"1" doc:"Show this customer's orders only: so a shop's own service makes a ticket for the page of one customer"`
}

// StreamTicket opens event streams for a minute, and nothing else.
type StreamTicket struct {
	Ticket    string    `json:"ticket" example:"0uMIuvTOmDIjTjJv3DhTnO2HmdrWvCBGMQFcGZnI2GZ" doc:"Put it into the address of an event stream, as ?ticket="`
	ExpiresAt time.Time `json:"expiresAt" example:"2026-11-22T12:01:00Z" doc:"Until when streams can be opened with it. Those that are open stay open"`
}

// TicketParam is in the input of what can be followed with a ticket. identify has read it before.
type TicketParam struct {
	Ticket string `query:"ticket" minLength:"1" maxLength:"100" doc:"A ticket of createStreamTicket, instead of the Authorization header that a browser's EventSource cannot send"`
}

type ticketInput struct{ Body *TicketRequest }

type ticketOutput struct{ Body StreamTicket }

// ticketOperations are the operations on tickets.
type ticketOperations struct {
	credentials *store.Credentials
	auth        *auth.Authenticator
	now         func() time.Time
}

func (o ticketOperations) all() []operation { return []operation{o.ticketOperation()} }

func (o ticketOperations) ticketOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "createStreamTicket", Method: http.MethodPost, Path: "/api/stream-tickets", Tags: []string{tagEvents},
			Summary: "Make a ticket for event streams",
			Description: "A browser's EventSource cannot send a header: it follows events with a ticket in the address. A " +
				"ticket is good for a minute, for any number of streams, on every process, and shows what the credential that it " +
				"was made with may see, or one customer's orders. When that credential ends, so do the streams.",
			DefaultStatus: http.StatusCreated, MaxBodyBytes: -1, // limited does it
		},
		permission: permitRead,
		errors:     []*problems.Error{errTooManyTickets},
	}, o.makeTicket)
}

func (o ticketOperations) makeTicket(ctx context.Context, in *ticketInput) (*ticketOutput, error) {
	who := exchangeOf(ctx).principal
	ticket := who.Ticket(o.now())
	if in.Body != nil && in.Body.CustomerID != "" {
		if err := in.Body.CustomerID.check("body.customerId"); err != nil {
			return nil, err
		}
		customer, err := who.follows(string(in.Body.CustomerID))
		if err != nil {
			return nil, err
		}
		ticket.Role, ticket.CustomerID = roles.Customer, customer
	}
	texts, err := o.credentials.MakeTickets(ctx, []store.Ticket{ticket})
	if err != nil {
		return nil, err
	}
	o.auth.RecognizeTicket(texts[0])
	return &ticketOutput{StreamTicket{texts[0], ticket.ExpiresAt}}, nil
}
