package stream

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Encode returns an event's data as it stands in a stream. Discreet data does not say which of the shop's people did
// it.
type Encode func(e orders.Event, discreet bool) ([]byte, error)

// item is an event on its way to all streams. It is encoded once for all customers and once for all others, by the
// first of them.
type item struct {
	store.Entry
	full, discreet func() ([]byte, error) // what all streams send of it alike: all but its id
}

func newItem(e store.Entry, encode Encode) *item {
	text := func(discreet bool) func() ([]byte, error) {
		return sync.OnceValues(func() ([]byte, error) {
			data, err := encode(e.Event, discreet)
			if err != nil {
				return nil, fmt.Errorf("encode event: %w", err)
			}
			return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.Type(), data), nil
		})
	}
	return &item{e, text(false), text(true)}
}

// writeTo writes the item as an event of a stream, with the stream's own id for it.
func (i *item) writeTo(b *bytes.Buffer, id string, discreet bool) error {
	encoded := i.full
	if discreet {
		encoded = i.discreet
	}
	text, err := encoded()
	fmt.Fprintf(b, "id: %s\n%s", id, text)
	return err
}
