package stream

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Encode returns the data of an event in a stream. Discreet data does not name the person at the shop who acted.
type Encode func(e orders.Event, discreet bool) ([]byte, error)

// item is an event on its way to all streams. It is encoded once for all customers and once for all other readers, when
// the first of them needs it.
type item struct {
	store.Entry
	full, discreet func() ([]byte, error) // what all streams send of the item: all but its id
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

// writeTo writes the item as an event of a stream, with the stream's own id.
func (i *item) writeTo(b *bytes.Buffer, id string, discreet bool) error {
	encoded := i.full
	if discreet {
		encoded = i.discreet
	}
	text, err := encoded()
	fmt.Fprintf(b, "id: %s\n%s", id, text)
	return err
}
