package client

import (
	"errors"
	"strconv"

	"github.com/ogen-go/ogen/sse"

	"github.com/millrace-orders/millrace/client/oas"
)

// maxGaps is how often in a row an event may be missing or unreadable before the stream fails.
const maxGaps = 5

// orderStream is the event stream of one order.
type orderStream struct {
	*stream
	orderID string
	last    int64 // the version of the last event that was handed out
	atRest  bool  // reports whether that event put the order at rest
	gaps    int   // connections in a row that lacked the next event
}

func (c *Client) newOrderStream(id string, after int64) (*orderStream, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	s := &orderStream{orderID: parsed.String(), last: after, stream: &stream{
		Client: c, reconnect: firstReconnect,
		address: c.base.JoinPath("api", "orders", parsed.String(), "events").String(),
	}}
	if after > 0 {
		s.lastID = strconv.FormatInt(after, 10)
	}
	return s, nil
}

// read yields the events of one connection. However the connection ends, the next one continues after the last yielded
// event. An event that is unreadable or not the next is therefore sent again on the next connection. After a regular
// end, one more request confirms that the order is finished.
func (s *orderStream) read(decoder *sse.Decoder, yield func(Event, error) bool) (again, done bool, err error) {
	before, whole := s.last, true // whole: nothing that this connection brought was unreadable
	for {
		sent, err := decoder.Decode()
		if errors.Is(err, sse.ErrEventTooLarge) {
			whole = false
			continue
		}
		if err != nil {
			return s.last > before && s.atRest, false, nil // the connection is gone: there will be another
		}
		var decoded oas.OrderEvent
		if decoded.UnmarshalJSON([]byte(sent.Data)) != nil || decoded.OrderID.String() != s.orderID {
			whole = false
			continue
		}
		// All events are asked for, and the log of an old order has lost its first events.
		pruned := s.last == 0 && whole
		switch event := newEvent(&decoded); {
		case event.Version <= s.last:
		case event.Version > s.last+1 && !pruned:
			if s.gaps++; s.gaps > maxGaps {
				return false, false, &MissingEventError{OrderID: s.orderID, Version: s.last + 1}
			}
			return false, false, nil
		default:
			s.last, s.atRest, s.gaps = event.Version, event.AtRest(), 0
			s.lastID = strconv.FormatInt(s.last, 10)
			if !yield(event, nil) {
				return false, true, nil
			}
		}
	}
}
