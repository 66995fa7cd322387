package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/api"
)

// ordersCommand reads and settles orders, over the API.
type ordersCommand struct {
	Get     getOrderCommand    `cmd:"" help:"Show an order and its steps."`
	List    listOrdersCommand  `cmd:"" help:"List orders, newest first."`
	Cancel  cancelOrderCommand `cmd:"" help:"Cancel an order: what was done is undone."`
	Settle  settleOrderCommand `cmd:"" help:"Decide about an order that needs attention."`
	Explain explainCommand     `cmd:"" help:"Say where an order stands, why, and what happens next."`
}

const ordersPath = "/api/orders"

func orderPath(id, verb string) string { return ordersPath + "/" + url.PathEscape(id) + verb }

type getOrderCommand struct {
	remoteFlags
	ID string `arg:"" help:"Order to show."`
}

// Run prints the order, its items and its steps.
func (c *getOrderCommand) Run(p *process) error {
	var o api.Order
	return c.call(p, http.MethodGet, orderPath(c.ID, ""), nil, &o, func() error { return printOrder(p.stdout, o) })
}

type listOrdersCommand struct {
	remoteFlags
	Status   *string `enum:"${statuses}" placeholder:"STATUS" help:"Only orders with this status."`
	Customer string  `help:"Only orders of this customer."`
	From     string  `kind:"moment" help:"Only orders placed at this moment or later."`
	To       string  `kind:"moment" help:"Only orders placed before this moment."`
	Limit    int     `default:"20" min:"1" max:"100" help:"Largest number of orders to list."`
	Cursor   string  `help:"Cursor of the page, which the page before it names."`
}

// Run prints a table, and how to get the next page.
func (c *listOrdersCommand) Run(p *process) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Status != nil {
		query.Set("status", *c.Status)
	}
	for name, value := range map[string]string{
		"customerId": c.Customer, "from": c.From, "to": c.To, "cursor": c.Cursor,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var page api.OrderPage
	return c.call(p, http.MethodGet, ordersPath+"?"+query.Encode(), nil, &page, func() error {
		err := printTable(p.stdout, "ORDER\tSTATUS\tCUSTOMER\tTOTAL\tPLACED\tUPDATED\tREASON", func(w io.Writer) {
			for _, o := range page.Orders {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s %s\t%s\t%s\t%s\n", o.OrderID, o.Status, o.CustomerID, o.Total, o.Currency,
					at(o.CreatedAt), at(o.UpdatedAt), orDash(o.Reason))
			}
		})
		if page.NextCursor != "" {
			fmt.Fprintf(p.stderr, "There are more orders: --cursor %s\n", page.NextCursor)
		}
		return err
	})
}

// changeFlags make a change of an order safe.
type changeFlags struct {
	IfVersion      int64  `placeholder:"VERSION" min:"1" or:"0" help:"Do nothing if the order has another version by now."`
	IdempotencyKey string `help:"Makes it safe to repeat the command with the same key, for a week."`
}

func (f changeFlags) headers() (pairs []string) {
	if f.IfVersion > 0 {
		pairs = append(pairs, "If-Match", strconv.Quote(strconv.FormatInt(f.IfVersion, 10)))
	}
	if f.IdempotencyKey != "" {
		pairs = append(pairs, "Idempotency-Key", f.IdempotencyKey)
	}
	return pairs
}

type cancelOrderCommand struct {
	remoteFlags
	changeFlags
	ID string `arg:"" help:"Order to cancel."`
}

// Run prints the order as it is then: undoing it takes a while.
func (c *cancelOrderCommand) Run(p *process) error {
	var o api.Order
	return c.call(p, http.MethodPost, orderPath(c.ID, "/cancel"), nil, &o, func() error {
		return printOrder(p.stdout, o)
	}, c.headers()...)
}

type settleOrderCommand struct {
	remoteFlags
	changeFlags
	ID         string  `arg:"" help:"Order to settle."`
	Action     string  `required:"" enum:"retry,compensate,accept" help:"Try again, undo everything, or accept an outcome as true."`
	Reason     string  `required:"" help:"The reason, in one line. The order's customer can read it."`
	Step       *string `enum:"${steps}" placeholder:"STEP" help:"Step that it is about. Without it, retry is about all steps that cannot finish."`
	Generation int     `min:"1" max:"1000000" or:"0" help:"Generation of the step. Without it, any."`
	Outcome    *string `enum:"succeeded,refused" help:"True outcome of the step. Only for accept."`
	Reference  string  `help:"Provider's own id of the effect. Only for accept."`
}

// Run prints the order as it is then.
func (c *settleOrderCommand) Run(p *process) error {
	body := api.Settlement{
		Action: api.SettleAction(c.Action), Reason: c.Reason, Generation: c.Generation, Reference: c.Reference,
	}
	if c.Step != nil {
		body.Step = new(api.StepName(*c.Step))
	}
	if c.Outcome != nil {
		body.Outcome = new(api.SettleOutcome(*c.Outcome))
	}
	var o api.Order
	return c.call(p, http.MethodPost, orderPath(c.ID, "/settle"), body, &o, func() error {
		return printOrder(p.stdout, o)
	}, c.headers()...)
}

func printOrder(out io.Writer, o api.Order) error {
	fmt.Fprintf(out, "%s  %s  version %d\n%s\n\n", o.OrderID, o.Status, o.Version, orDash(o.Message))
	fmt.Fprintf(out, "Customer %s. Total %s %s, refunded %s. Placed %s, updated %s.\n", o.CustomerID, o.Total, o.Currency,
		o.Refunded, at(o.CreatedAt), at(o.UpdatedAt))
	if o.Reason != "" {
		fmt.Fprintln(out, "Reason: "+o.Reason)
	}
	fmt.Fprintln(out)
	return printTable(out, "STEP\tSTATE\tSTARTED\tSETTLED\tREFERENCE\tREASON", func(w io.Writer) {
		for _, s := range o.Steps {
			var settled time.Time
			if s.SettledAt != nil {
				settled = *s.SettledAt
			}
			fmt.Fprintf(w, "%s:%d\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Generation, s.State, at(s.StartedAt), at(settled),
				orDash(s.Reference), orDash(s.Reason))
		}
	})
}
