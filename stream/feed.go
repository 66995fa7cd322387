package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-orders/millrace/store"
)

// Events of the stream itself. They are not about an order.
const (
	EventCursor = "cursor"
	EventResync = "resync"
)

// Reader is a cursor of the feed, and the selection of events that its reader wants.
type Reader struct {
	At       store.Cursor
	Customer string // "": all
	// Selects reports whether the reader wants an event. The event's customer has been checked before.
	Selects func(store.Entry) bool
	// Log reads a page of the log, and returns the cursor of the next page.
	Log func(ctx context.Context, after store.Cursor, filter store.LogFilter, limit int) (
		found []store.Entry, next store.Cursor, more bool, err error)
}

// Topic returns the topic that the reader waits for.
func (r *Reader) Topic() Topic { return Topic{Customer: r.Customer} }

// Read reads at most limit further entries of the log. more reports whether there are entries after them.
func (r *Reader) Read(ctx context.Context, limit int, turn Turn) (found []store.Entry, more bool, err error) {
	release, err := turn(ctx)
	if err != nil {
		return nil, false, err
	}
	defer release()
	entries, next, more, err := r.Log(ctx, r.At, store.LogFilter{CustomerID: r.Customer}, limit)
	if err != nil {
		return nil, false, err
	}
	r.At = next
	return slices.DeleteFunc(entries, func(e store.Entry) bool { return !r.Selects(e) }), more, nil
}

// Feed is the source of a stream of the feed. The events' ids are cursors.
type Feed struct {
	Reader

	// End returns the end of the log.
	End func(context.Context) (store.Cursor, error)
	// Cursor returns the data of an EventCursor or an EventResync. It must not be empty: many clients ignore an id that
	// comes without data.
	Cursor func(event string, at store.Cursor) []byte

	told store.Cursor // the last cursor that the client got
}

func (f *Feed) topic() Topic { return f.Topic() }

func (f *Feed) catchUp(
	ctx context.Context, to *stream,
) (more, done bool, err error) { //nolint:unparam // a source; the feed never ends
	entries, more, err := f.Read(ctx, batch, to.turn)
	if errors.Is(err, store.ErrCursorExpired) {
		return false, false, f.resync(ctx, to)
	}
	if err != nil {
		return false, false, err
	}
	items := make([]*item, len(entries))
	for i, e := range entries {
		items[i] = to.newItem(e)
	}
	if err := f.send(to, items); err != nil {
		return more, false, err
	}
	// Otherwise a client without events would have no cursor to resume from, not even if it is cut off on the way.
	return more, false, to.Send(f.advance(f.At))
}

// resync continues from the present. The client reads the orders after it got this cursor, so it misses nothing.
func (f *Feed) resync(ctx context.Context, to *stream) error {
	var err error
	if f.At, err = f.End(ctx); err != nil {
		return err
	}
	return to.Send(f.tell(EventResync))
}

// tell returns an event of the stream itself, with a cursor for the client.
func (f *Feed) tell(event string) []byte {
	f.told = f.At
	return fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", f.At, event, f.Cursor(event, f.At))
}

// pass leaves out the events that catchUp has sent already.
func (f *Feed) pass(_ context.Context, to *stream, items []*item) (ok bool, err error) {
	var fresh []*item
	for _, i := range items {
		if i.Cursor.Epoch != f.At.Epoch {
			return false, nil
		}
		if isAfter(i.Cursor, f.At) {
			f.At = i.Cursor
			if f.Selects(i.Entry) {
				fresh = append(fresh, i)
			}
		}
	}
	return true, f.send(to, fresh)
}

func (f *Feed) send(to *stream, items []*item) error {
	if len(items) > 0 {
		f.told = items[len(items)-1].Cursor
	}
	return to.sendAll(items, func(i *item) string { return i.Cursor.String() })
}

func (f *Feed) advance(reached store.Cursor) []byte {
	if isAfter(reached, f.At) {
		f.At = reached
	}
	if f.At == f.told {
		return nil
	}
	return f.tell(EventCursor)
}
