package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/api"
)

// eventsCommand follows the events of orders, over the API.
type eventsCommand struct {
	Tail tailCommand `cmd:"" help:"Follow the events of all orders, without end."`
}

const (
	tailPage = 1000
	// tailWait is how long the server holds back an answer without events.
	tailWait = 20 * time.Second
	// Pauses between attempts, after a connection broke.
	firstTailPause, longestTailPause = 500 * time.Millisecond, 15 * time.Second
)

type tailCommand struct {
	remoteFlags
	After    string   `default:"end" help:"Where in the feed to begin: start, end, or a cursor, such as the one that an earlier run printed."`
	Customer string   `help:"Only events of this customer's orders."`
	Type     []string `enum:"OrderCreated,OrderStatusUpdated,OrderProcessingProgress" help:"Only events of this type. May be repeated."`
	Limit    int      `min:"1" max:"1000000" or:"0" help:"End after this number of events. Without it, there is no end."`
}

// tailPageOf is api.EventPage with its events as they arrived.
type tailPageOf struct {
	Events []json.RawMessage `json:"events"`
	Next   string            `json:"next"`
}

// Run prints events as they happen, a line each. A broken connection is replaced, and no event is missing or repeated.
// When it ends, it prints the cursor for the next run.
func (c *tailCommand) Run(p *process) error {
	at, left := c.After, c.Limit
	connected, pause := false, firstTailPause
	defer func() { fmt.Fprintln(p.stderr, "To go on from here: --after "+at) }()
	for c.Limit == 0 || left > 0 {
		began := time.Now()
		page, err := c.page(p.ctx, at, left)
		switch {
		case p.ctx.Err() != nil:
			return nil // the operator has seen enough
		case err != nil && (!connected || refused(err)):
			return err
		case err != nil:
			fmt.Fprintf(p.stderr, "%v; trying again\n", err)
			sleep(p.ctx, max(pause, retryAfter(err)))
			pause = min(2*pause, longestTailPause)
			continue
		}
		connected, pause = true, firstTailPause
		for _, event := range page.Events {
			if err := c.print(p, event); err != nil {
				return err
			}
		}
		left -= len(page.Events)
		if page.Next == at && time.Since(began) < firstTailPause {
			sleep(p.ctx, firstTailPause) // a server that drains does not hold an answer back
		}
		at = page.Next
	}
	return nil
}

func (c *tailCommand) page(ctx context.Context, after string, left int) (page tailPageOf, err error) {
	query := url.Values{
		"after": {after}, "wait": {strconv.Itoa(int(tailWait / time.Second))}, "limit": {strconv.Itoa(tailPage)},
		"type": c.Type,
	}
	if left > 0 {
		query.Set("limit", strconv.Itoa(min(left, tailPage)))
	}
	if c.Customer != "" {
		query.Set("customerId", c.Customer)
	}
	received, err := c.send(ctx, http.MethodGet, "/api/events?"+query.Encode(), nil, "Accept", "application/json")
	if err != nil {
		return page, err
	}
	if err := json.Unmarshal(received, &page); err != nil || page.Next == "" {
		return page, errors.Join(fmt.Errorf("the answer of %s is not a page of events", c.URL), err)
	}
	return page, nil
}

func (c *tailCommand) print(p *process, event json.RawMessage) error {
	if c.JSON {
		var line bytes.Buffer
		if err := json.Compact(&line, event); err != nil {
			return err
		}
		line.WriteByte('\n')
		_, err := p.stdout.Write(line.Bytes())
		return err
	}
	var e api.OrderEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return fmt.Errorf("read an event of %s: %w", c.URL, err)
	}
	_, err := fmt.Fprintf(p.stdout, "%s  %s  %3d  %-15s  %3d%%  %s\n", at(e.Timestamp), e.OrderID, e.Version, e.Status,
		e.Progress, e.Message)
	return err
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
