package stream

import "sync"

// Slots bounds what callers share: requests in flight, open streams, exports. No caller can take all of it: a principal
// may hold as many slots as are left. A lone principal gets half of them, and the next principal half of the rest.
type Slots struct {
	total int
	full  error // the error when all slots are taken
	own   error // the error when the caller holds its share

	mu    sync.Mutex
	taken int
	by    map[string]int // taken slots by Holder
}

// Holder is the caller that a slot counts for. It has no name if the caller is unknown: before its request was
// authenticated, and on an open server.
type Holder struct {
	Name string
	Most int // 0: as many as are left
}

// NewSlots makes slots, with the errors for a caller that gets no slot.
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

// Charge counts a slot for a holder that was unknown when the slot was taken.
func (s *Slots) Charge(h Holder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count([]Holder{h})
}

// count counts a taken slot for its holders. s must be locked.
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

// Release returns a slot, with the holders that it counts for.
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
