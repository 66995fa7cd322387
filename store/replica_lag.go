package store

import (
	"slices"
	"sync"
	"time"
)

// lagMoments is how many moments are remembered. A lag beyond them is known to be at least as long.
const lagMoments = 120

// lagHistory is where the primary was at some moments. A replica is as far behind as the latest of these moments that
// it has replayed: that is also right while the primary writes nothing.
type lagHistory struct {
	mu      sync.Mutex
	moments []lagMoment // oldest first
}

type lagMoment struct {
	at       time.Time
	position Position
}

// add notes where the primary is. A new timeline begins a new history.
func (h *lagHistory) add(at time.Time, p Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.moments) - 1; last >= 0 && h.moments[last].position.mark != p.mark {
		h.moments = nil
	}
	h.moments = append(h.moments, lagMoment{at, p})
	if len(h.moments) > lagMoments {
		h.moments = slices.Delete(h.moments, 0, 1)
	}
}

// lag returns how far behind a replica is at most: the time since the latest moment that it has replayed.
func (h *lagHistory) lag(now time.Time, p Position) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, m := range slices.Backward(h.moments) {
		if m.position.lsn > p.lsn {
			continue
		}
		if i == len(h.moments)-1 {
			return 0
		}
		return now.Sub(m.at)
	}
	if len(h.moments) == 0 {
		return 0
	}
	return max(now.Sub(h.moments[0].at), 2*ReplicaMaxLag) // it is unknown, so the replica is not used
}
