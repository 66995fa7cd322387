package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/ogen-go/ogen/sse"

	"github.com/millrace-orders/millrace/client/oas"
)

// The named cursors of the feed.
const (
	FeedStart = "start" // the oldest event that is kept
	FeedEnd   = "end"   // only events from now on
)

// FeedFilter selects the events to follow. The zero FeedFilter selects all that the token may see.
type FeedFilter struct {
	CustomerID string
	Types      []EventType
}

// FeedEvent is an event with its cursor of the feed.
type FeedEvent struct {
	Event
	Cursor string // the feed continues after it: store it once you have handled the event
}

// ResyncError reports that events are missing: the server no longer keeps them, or it has another database. Read the
// orders again ([Client.Orders]), and then continue from Cursor.
type ResyncError struct{ Cursor string }

func (e *ResyncError) Error() string {
	return "events are missing: read the orders again, and go on from " + e.Cursor
}

// Feed follows the events of all orders live, after a cursor. It leaves out no event, and an order's events are in
// sequence. The cursor is that of the last event that you handled, [FeedStart] or [FeedEnd]. Feed does not end by
// itself; a broken connection is replaced, and the feed continues where it was. It ends with an error as
// [Client.Events] does, and with a [*ResyncError] if events are missing.
func (c *Client) Feed(ctx context.Context, after string, filter FeedFilter) iter.Seq2[FeedEvent, error] {
	return func(yield func(FeedEvent, error) bool) {
		query := url.Values{"after": {after}}
		if filter.CustomerID != "" {
			query.Set("customerId", filter.CustomerID)
		}
		for _, t := range filter.Types {
			query.Add("type", string(t))
		}
		address := c.base.JoinPath("api", "events")
		address.RawQuery = query.Encode()
		s := &stream{Client: c, reconnect: firstReconnect, address: address.String()}
		for {
			done, err := s.follow(ctx, func(d *sse.Decoder) (bool, bool, error) { return s.readFeed(d, yield) })
			if err != nil {
				yield(FeedEvent{}, unwrapped(err))
			}
			if done || err != nil {
				return
			}
		}
	}
}

// readFeed yields the events of one connection.
func (s *stream) readFeed(decoder *sse.Decoder, yield func(FeedEvent, error) bool) (again, done bool, err error) {
	for {
		sent, err := decoder.Decode()
		switch {
		case errors.Is(err, sse.ErrEventTooLarge):
			return false, false, fmt.Errorf("event %s of the feed is not readable: %w", sent.ID, err)
		case err != nil:
			return false, false, nil //nolint:nilerr // the connection is gone: there will be another
		case sent.Type == "resync":
			return false, false, &ResyncError{sent.ID}
		case sent.Type == "cursor":
			s.lastID = sent.ID
			continue
		}
		var decoded oas.OrderEvent
		if err := decoded.UnmarshalJSON([]byte(sent.Data)); err != nil {
			return false, false, fmt.Errorf("event %s of the feed is not readable: %w", sent.ID, err)
		}
		s.lastID = sent.ID
		if !yield(FeedEvent{newEvent(&decoded), sent.ID}, nil) {
			return false, true, nil
		}
	}
}

// FeedPage is a part of the feed.
type FeedPage struct {
	Events []Event
	Next   string // the cursor after the page: store it once you have handled all its events
}

// FeedPage reads the feed page by page, for programs that prefer to poll. If there is nothing after the cursor, it
// waits for the first event, at most 30 seconds. limit is at most 1000; 0 is the server's default.
//
// Error: a [*ResyncError] if events are missing.
func (c *Client) FeedPage(
	ctx context.Context, after string, filter FeedFilter, limit int, patience time.Duration,
) (*FeedPage, error) {
	params := oas.ListEventsParams{
		After: oas.NewOptString(after), CustomerID: optional(filter.CustomerID), Type: filter.Types,
	}
	if limit != 0 {
		params.Limit.SetTo(int64(limit))
	}
	params.Wait.SetTo(int64(min(patience, longestWait) / time.Second))
	answer, err := c.api.ListEvents(ctx, params, oas.WithEditRequest(func(r *http.Request) error {
		r.Header.Set("Accept", "application/json")
		return nil
	}))
	if hasStatus(err, http.StatusGone) {
		end, err := c.FeedPage(ctx, FeedEnd, filter, 1, 0)
		if err != nil {
			return nil, err
		}
		return nil, &ResyncError{end.Next}
	}
	if err != nil {
		return nil, unwrapped(err)
	}
	page, ok := answer.(*oas.EventPage)
	if !ok {
		return nil, fmt.Errorf("unexpected answer %T", answer)
	}
	out := &FeedPage{Next: page.Next}
	for i := range page.Events {
		out.Events = append(out.Events, newEvent(&page.Events[i]))
	}
	return out, nil
}

// longestWait is the longest time that the server waits.
const longestWait = 30 * time.Second

// Ticket opens event streams from a browser, as ?ticket=.
type Ticket = oas.StreamTicket

// StreamTicket makes a ticket for event streams, valid for a minute. Give it to a page, whose EventSource cannot send a
// token. The ticket shows all that the client's token may see; for a customer's page see [Client.CustomerTicket].
func (c *Client) StreamTicket(ctx context.Context) (*Ticket, error) {
	ticket, err := c.api.CreateStreamTicket(ctx, oas.OptTicketRequest{})
	return ticket, unwrapped(err)
}

// CustomerTicket is [Client.StreamTicket] for one customer's orders. It refuses an empty customer id, which would open
// the orders of all customers.
func (c *Client) CustomerTicket(ctx context.Context, customerID string) (*Ticket, error) {
	request := oas.TicketRequest{CustomerID: oas.NewOptString(customerID)}
	ticket, err := c.api.CreateStreamTicket(ctx, oas.NewOptTicketRequest(request))
	return ticket, unwrapped(err)
}
