package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

const (
	sealPatience = 2 * time.Second // patience with transactions that may not have seen a seal
	sealPoll     = 10 * time.Millisecond
	sealTries    = 3
)

// errSealed reports that an order would be stored from before the seal: an export has taken that time for complete.
var errSealed = errors.New("the order is from before the seal")

// sealBefore waits until every order from before a moment is stored or never will be, and returns the moment up to
// which that holds. The moment is earlier than asked for if a transaction that stores orders takes long.
//
// Processes make an order's id and time before its commit. Their clocks differ, and a process may be frozen in between.
// So a bound by the transactions that are running now is not enough: the next transaction to begin may bring an earlier
// order.
func (s *Orders) sealBefore(ctx context.Context, at time.Time) (time.Time, error) {
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

// decide decides placements. None of them is from before the seal as this process knows it.
func (s *Orders) decide(placements []orders.Placement) []orders.Decision {
	floor := time.UnixMilli(s.sealed.Load()).UTC()
	first := firstID(floor)
	decisions := make([]orders.Decision, len(placements))
	for i, p := range placements {
		now := s.now()
		id, at := s.newID(now), timestamp(now)
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
func (s *Orders) learnSeal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	seal, err := s.queries.OrderSealRead(ctx, s.db)
	if err != nil {
		return fmt.Errorf("read seal: %w", err)
	}
	s.sealed.Store(seal.SealedTo.UnixMilli())
	return nil
}

// newID makes the id of an order that is placed at a moment. Exports search a range of time by ids, so the time in the
// id has to be by the same clock. The ids that one store makes ascend.
func (s *Orders) newID(at time.Time) orders.ID {
	const tick = 12 // bits; a version 7 UUID has them for parts of a millisecond
	moment := uint64(max(at.UnixMilli()<<tick+int64(at.Nanosecond())%int64(time.Millisecond)>>8, 0))
	for {
		last := s.lastID.Load()
		if moment <= last && last-moment < 1000<<tick { // not if the clock was set back
			moment = last + 1
		}
		if s.lastID.CompareAndSwap(last, moment) {
			break
		}
	}
	id := orders.NewID()
	version := id[6] & 0xf0
	var bits [8]byte
	binary.BigEndian.PutUint64(bits[:], moment>>tick<<16|moment&(1<<tick-1))
	copy(id[:8], bits[:])
	id[6] |= version
	return id
}
