package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-orders/millrace/store"
)

// The stream's own words. Unlike the others they are about no order.
const (
	EventCursor = "cursor"
	EventResync = "resync"
)

// Reader is a place in the feed, and what of the feed concerns its reader.
type Reader struct {
	At       store.Cursor
	Customer string // "": all
	// Selects reports whether an event concerns the reader. Whose order it is about has been looked at before.
	Selects func(store.Entry) bool
	// Log reads a page of the log, and returns where the next one begins.
	Log func(ctx context.Context, after store.Cursor, filter store.LogFilter, limit int) (
		found []store.Entry, next store.Cursor, more bool, err error)
}

// Topic is what the reader waits for.
func (r *Reader) Topic() Topic { return Topic{Customer: r.Customer} }

// Read goes on by at most limit entries of the log. more says that there are others after them.
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

// Feed is the source of what a Reader has before it. The ids are places in the log.
type Feed struct {
	Reader

	// End returns the end of the log.
	End func(context.Context) (store.Cursor, error)
	// Place returns the data of an EventCursor or an EventResync. There has to be some, because many clients ignore an id
	// without any.
	Place func(event string, at store.Cursor) []byte

	told store.Cursor // the last place that the client has heard of
}

func (f *Feed) topic() Topic { return f.Topic() }

func (f *Feed) catchUp(
	ctx context.Context, to *stream,
) (more, done bool, err error) { //nolint:unparam // a source, and the feed has no end
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
	// Or a client that is sent nothing has no place to come back to: not even one on the way, if it is cut off here.
	return more, false, to.Send(f.advance(f.At))
}

// resync goes on from now. The client reads the orders after it has got this place, so it misses nothing.
func (f *Feed) resync(ctx context.Context, to *stream) error {
	var err error
	if f.At, err = f.End(ctx); err != nil {
		return err
	}
	return to.Send(f.tell(EventResync))
}

// tell returns an event of the stream's own, which tells the client a place.
func (f *Feed) tell(event string) []byte {
	f.told = f.At
	return fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", f.At, event, f.Place(event, f.At))
}

// pass leaves out what catchUp has read already.
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
