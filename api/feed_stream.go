package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace-orders/millrace/store"
)

// The stream's own words. Unlike the others they are about no order.
const (
	eventPlace  EventType = "place"
	eventResync EventType = "resync"
)

// Place is where the feed goes on.
type Place struct {
	Next   string `json:"next" example:"1-2f4-9a-19c2d7f1e3b" doc:"The place, which is the event's id, too"`
	Detail string `json:"detail,omitempty" example:"Events are missing here. Read the orders again." doc:"What to do, for people"`
}

// feedSource is what a feedReader has before it. The ids are places in the log.
type feedSource struct {
	feedReader
	told store.Cursor // the last place that the client has heard of
}

func (f *feedSource) catchUp(ctx context.Context, w liveWriter, turn turn) (more, done bool, err error) {
	entries, more, err := f.read(ctx, streamBatch, turn)
	if errors.Is(err, store.ErrCursorExpired) {
		return false, false, f.resync(ctx, w)
	}
	if err != nil {
		return false, false, err
	}
	notices := make([]*notice, len(entries))
	for i, e := range entries {
		notices[i] = newNotice(e)
	}
	if err := f.send(w, notices); err != nil {
		return more, false, err
	}
	// Or a client that is sent nothing has no place to come back to: not even one on the way, if it is cut off here.
	return more, false, w.write(f.advance(f.at))
}

// resync goes on from now. The client reads the orders after it has got this place, so it misses nothing.
func (f *feedSource) resync(ctx context.Context, w liveWriter) error {
	var err error
	if f.at, err = f.store.LogEnd(ctx); err != nil {
		return err
	}
	return w.write(f.tell(eventResync, "Events are missing here: they are no longer kept. Read the orders again."))
}

// tell is an event of the stream's own. It has data because many clients ignore an id without any.
func (f *feedSource) tell(t EventType, detail string) []byte {
	f.told = f.at
	data, _ := json.Marshal(Place{f.at.String(), detail}) //nolint:errchkjson // texts can be encoded
	return fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", f.at, t, data)
}

// pass leaves out what catchUp has read already.
func (f *feedSource) pass(_ context.Context, w liveWriter, notices []*notice) (ok, done bool, err error) {
	var fresh []*notice
	for _, n := range notices {
		if n.Cursor.Epoch != f.at.Epoch {
			return false, false, nil
		}
		if isAfter(n.Cursor, f.at) {
			f.at = n.Cursor
			if f.selects(n.Entry) {
				fresh = append(fresh, n)
			}
		}
	}
	return true, false, f.send(w, fresh)
}

func (f *feedSource) send(w liveWriter, notices []*notice) error {
	if len(notices) > 0 {
		f.told = notices[len(notices)-1].Cursor
	}
	return sendAll(w, notices, f.reader, func(n *notice) string { return n.Cursor.String() })
}

func (f *feedSource) advance(reached store.Cursor) []byte {
	if isAfter(reached, f.at) {
		f.at = reached
	}
	if f.at == f.told {
		return nil
	}
	return f.tell(eventPlace, "")
}
