package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

const (
	sealPatience = 2 * time.Second // with the transactions that may not have seen a seal
	sealPoll     = 10 * time.Millisecond
	sealTries    = 3
)

// errSealed means that an order was to be stored from before the seal, which an export has taken for complete.
var errSealed = errors.New("the order is from before the seal")

// settle has all orders from before a moment be there, or never, and returns up to when that is so. It is earlier if a
// transaction that stores orders takes long.
//
// An id and a time are made before the commit, by clocks that differ, in processes that may be frozen in between. So a
// bound by what is running now would not do: the next to begin may bring an earlier order.
func (s *Store) settle(ctx context.Context, at time.Time) (time.Time, error) {
	seal, err := s.queries.OrderSealRead(ctx, s.db)
	if err != nil || !seal.SettledTo.Before(at) {
		return seal.SettledTo, err
	}
	sealed, err := s.queries.OrderSealTo(ctx, s.db, at)
	if err != nil {
		return seal.SettledTo, err
	}
	before, err := s.queries.OrdersPlacing(ctx, s.db)
	for begun := time.Now(); err == nil && len(before) > 0; {
		if time.Since(begun) > sealPatience {
			return seal.SettledTo, nil
		}
		select {
		case <-time.After(sealPoll):
		case <-ctx.Done():
			return seal.SettledTo, ctx.Err()
		}
		var now []string
		now, err = s.queries.OrdersPlacing(ctx, s.db)
		before = slices.DeleteFunc(before, func(tx string) bool { return !slices.Contains(now, tx) })
	}
	if err != nil {
		return seal.SettledTo, err
	}
	return sealed, s.queries.OrderSettledTo(ctx, s.db, sealed)
}

// decide decides placements, none of them from before the seal as this process knows it.
func (s *Store) decide(placements []orders.Placement) []orders.Decision {
	floor := time.UnixMilli(s.sealed.Load()).UTC()
	first := firstID(floor)
	decisions := make([]orders.Decision, len(placements))
	for i, p := range placements {
		id, at := orders.NewID(), timestamp(s.now())
		if slices.Compare(id[:], first[:]) < 0 {
			copy(id[:6], first[:6])
		}
		if at.Before(floor) {
			at = floor
		}
		decisions[i] = orders.Place(p, id, at)
	}
	return decisions
}

// learnSeal reads the seal, for the next placements.
func (s *Store) learnSeal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	seal, err := s.queries.OrderSealRead(ctx, s.db)
	if err != nil {
		return fmt.Errorf("read seal: %w", classify(err))
	}
	s.sealed.Store(seal.SealedTo.UnixMilli())
	return nil
}
