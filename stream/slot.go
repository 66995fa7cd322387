package stream

import "sync"

// Slots bounds what callers share: requests in flight, open streams, exports. No caller can take it all: a principal
// may hold as many as are left. Alone it gets half of them, and the next principal half of the rest.
type Slots struct {
	total int
	full  error // when all are taken
	own   error // when the caller holds its share

	mu    sync.Mutex
	taken int
	by    map[string]int // of each Holder
}

// Holder is the caller that a slot counts for. It has no name if the caller is unknown: before a request was
// authenticated, and while the server is open.
type Holder struct {
	Name string
	Most int // 0: as many as are left
}

// NewSlots makes slots, with the errors of a caller that gets none.
func NewSlots(total int, full, own error) *Slots {
	return &Slots{total: total, full: full, own: own, by: make(map[string]int)}
}

// Take takes a slot.
func (s *Slots) Take(holders ...Holder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.total {
		return s.full
	}
	s.taken++
	err := s.count(holders)
	if err != nil {
		s.taken--
	}
	return err
}

// Charge counts a slot that was taken without a name for a holder.
func (s *Slots) Charge(h Holder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count([]Holder{h})
}

// count counts a slot that is among the taken ones. s must be locked.
func (s *Slots) count(holders []Holder) error {
	for _, h := range holders {
		most := h.Most
		if most == 0 {
			most = s.total - s.taken + 1
		}
		if h.Name != "" && s.by[h.Name] >= most {
			return s.own
		}
	}
	for _, h := range holders {
		if h.Name != "" {
			s.by[h.Name]++
		}
	}
	return nil
}

// Release gives a slot back, with the holders that it counts for.
func (s *Slots) Release(holders ...Holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	for _, h := range holders {
		if s.by[h.Name]--; s.by[h.Name] <= 0 {
			delete(s.by, h.Name)
		}
	}
}
