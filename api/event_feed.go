package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/stream"
)

const (
	// Cursors of the feed that have a name.
	fromStart = "start"
	fromEnd   = "end"
	// longestScan bounds how long a page takes to fill if few events are of its types.
	longestScan = time.Second
)

var errCursorExpired = problems.New(problems.Gone, "cursor_expired",
	"The events after this cursor are no longer kept. Ask with after=end, read the orders again, and go on from the "+
		"next of that answer.").
	With(problems.ProblemError{Location: "query.after", Message: "must be a cursor that has not expired"}).
	For(store.ErrCursorExpired)

// EventPage is a part of the feed.
type EventPage struct {
	Events []OrderEvent `json:"events" doc:"Oldest first; those of one order by version, none left out"`
	Next   string       `json:"next" example:"1-2f4-9a-19c2d7f1e3b" doc:"Where to go on: the after of the next request, also if there are no events"`
}

// The words of the feed's stream. Unlike the others they are about no order.
const (
	eventCursor EventType = stream.EventCursor
	eventResync EventType = stream.EventResync
)

// resyncDetail tells people what to do after a resync.
const resyncDetail = "Events are missing here: they are no longer kept. Read the orders again."

// FeedCursor is where the feed goes on.
type FeedCursor struct {
	Next   string `json:"next" example:"1-2f4-9a-19c2d7f1e3b" doc:"The cursor, which is the event's id, too"`
	Detail string `json:"detail,omitempty" example:"Events are missing here. Read the orders again." doc:"What to do, for people"`
}

// encodeFeedCursor returns the data of an event of the feed itself.
func encodeFeedCursor(event string, at store.Cursor) []byte {
	cursor := FeedCursor{Next: at.String()}
	if event == stream.EventResync {
		cursor.Detail = resyncDetail
	}
	data, _ := json.Marshal(cursor) //nolint:errchkjson // texts can be encoded
	return data
}

type feedInput struct {
	After       string      `query:"after" minLength:"1" maxLength:"100" default:"end" example:"end" doc:"A cursor of the feed: a next, or the id of a streamed event, of any filter; start for the oldest event that is kept, end for what happens from now on"`
	CustomerID  string      `query:"customerId" maxLength:"200" example:"1" doc:"Only events of this customer's orders"`
	Type        []EventType `query:"type,explode" maxItems:"10" doc:"Only events of this type; may be repeated"`
	Limit       int         `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Events in the answer; a stream has no limit"`
	Wait        int         `query:"wait" minimum:"0" maximum:"30" default:"0" doc:"Seconds to wait for an event if there is none"`
	LastEventID string      `header:"Last-Event-ID" doc:"The id of the last event that was received: a stream goes on after it. Browsers send it when they reconnect"`
	Accept      string      `header:"Accept" hidden:"true"`
	TicketParam
	PositionParam
}

func (o eventOperations) feedOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listEvents", Method: http.MethodGet, Path: "/api/events", Tags: []string{tagEvents},
			Summary: "Read or follow the events of all orders",
			Description: "What happens to all orders that the caller may see: at least once, each order's events in order, " +
				"none left out, and for as long as they are kept. With `Accept: text/event-stream` as server-sent events, live " +
				"and without end; `Last-Event-ID` resumes after hours. Otherwise a page, and where the next one begins. A " +
				"cursor whose events are no longer kept is 410, and on a stream the event `resync`, whose id is a new cursor: " +
				"read the orders again then. The event `cursor` has the stream's current position, for `Last-Event-ID`.",
		},
		permission: permitFollow, action: "events",
		errors: []*problems.Error{errTooManyStreams, errTooManyOwnStreams, errCursorExpired}, responses: feedResponses,
	}, o.feed)
}

func (o eventOperations) feed(ctx context.Context, in *feedInput) (*huma.StreamResponse, error) {
	live := wantsStream(in.Accept)
	if !live && in.Wait == 0 {
		return o.glance(ctx, in)
	}
	if _, err := in.parse(); err != nil {
		return nil, err
	}
	reader, err := o.newFeedReader(ctx, o.log, in)
	if err != nil {
		return nil, err
	}
	if live {
		return o.follow(ctx, &stream.Feed{Reader: reader, End: o.log.End, Cursor: encodeFeedCursor})
	}
	page, err := o.pull(ctx, reader, in.Limit, time.Duration(in.Wait)*time.Second)
	if err != nil {
		return nil, err
	}
	exchangeOf(ctx).tellWritten(ctx)
	return jsonResponse(page), nil
}

// glance returns the next events, and does not wait for any.
func (o eventOperations) glance(ctx context.Context, in *feedInput) (*huma.StreamResponse, error) {
	var page *EventPage
	turn := o.streams.Turn(exchangeOf(ctx).principal.share())
	err := o.reads.from(ctx, in.PositionParam, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) error {
		reader, err := o.newFeedReader(ctx, s.Log, in)
		if err == nil {
			page, _, err = readPage(ctx, &reader, in.Limit, turn)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return jsonResponse(page), nil
}

// newFeedReader returns the caller's cursor of the feed, and its selection of events.
func (o eventOperations) newFeedReader(
	ctx context.Context, log *store.Log, in *feedInput,
) (r stream.Reader, err error) {
	types := in.Type
	r = stream.Reader{Log: log.Read, Selects: func(e store.Entry) bool {
		return len(types) == 0 || slices.Contains(types, EventType(e.Type()))
	}}
	if r.Customer, err = exchangeOf(ctx).principal.follows(in.CustomerID); err != nil {
		return r, err
	}
	after, location := in.After, "query.after"
	if in.LastEventID != "" { // what a browser remembers counts more than the address that it was once given
		after, location = in.LastEventID, "header.Last-Event-ID"
	}
	switch after {
	case fromStart:
		r.At, err = log.Start(ctx)
	case fromEnd:
		r.At, err = log.End(ctx)
	default:
		if r.At, err = store.ParseCursor(after); err != nil {
			err = badInput(location, "must be a cursor of the feed: a next, an event's id, start or end")
		}
	}
	return r, err
}

// readPage goes on until there are limit events, or no more, or it has looked through so many that the caller should
// hear how far it has come, or until the server drains.
func readPage(
	ctx context.Context, r *stream.Reader, limit int, turn stream.Turn,
) (page *EventPage, more bool, err error) {
	discreet := exchangeOf(ctx).principal.isDiscreet()
	page, more = &EventPage{Events: []OrderEvent{}}, true
	for begun := time.Now(); more && len(page.Events) < limit && time.Since(begun) < longestScan; {
		var found []store.Entry
		found, more, err = r.Read(ctx, limit-len(page.Events), turn)
		if errors.Is(err, stream.ErrDraining) {
			more = true
			break
		}
		if err != nil {
			return nil, false, err
		}
		for _, e := range found {
			page.Events = append(page.Events, newOrderEvent(e.Event, discreet))
		}
	}
	page.Next = r.At.String()
	return page, more, nil
}

// pull returns the next events. If there are none it waits for the first, as long as patience says.
func (o eventOperations) pull(
	ctx context.Context, r stream.Reader, limit int, patience time.Duration,
) (*EventPage, error) {
	listener := o.streams.Listen(r.Topic()) // before the log is read, so that nothing falls in between
	defer listener.Close()
	turn := o.streams.Turn(exchangeOf(ctx).principal.share())
	page, more, err := readPage(ctx, &r, limit, turn)
	if err != nil || len(page.Events) > 0 || more {
		return page, err
	}
	x := exchangeOf(ctx)
	leave, err := o.load.stayFollowing(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := x.allow(patience); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for err == nil && len(page.Events) == 0 && !more {
		select {
		case <-listener.Wake():
		case <-timeout.C:
			return page, nil
		case <-o.draining:
			return page, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err = x.stillAllowed(ctx); err == nil {
			page, more, err = readPage(ctx, &r, limit, turn)
		}
	}
	return page, err
}

// feedResponses describes both forms of the feed, whose stream has words of its own. eventsResponses comes first.
func feedResponses(r huma.Registry) map[string]*huma.Response {
	for _, t := range []EventType{eventCursor, eventResync} {
		streamEvent(r, t, r.Schema(reflect.TypeFor[FeedCursor](), true, ""))
	}
	types := append(eventTypes(), eventCursor, eventResync)
	return streamResponses(r, "FeedStreamEvent", types, reflect.TypeFor[EventPage]())
}
