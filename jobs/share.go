package jobs

import (
	"math/rand/v2"
	"sync"
	"time"
)

// shares divides the workers of a queue among owners. An owner may hold as many workers as are left: alone it gets half
// of them, and the next owner half of the rest. So the slow receivers of one owner leave a worker for another owner.
type shares struct {
	total int

	mu      sync.Mutex
	taken   int
	by      map[string]int       // workers of each owner
	refused map[string]time.Time // when a job of the owner was last refused
}

func newShares(total int) *shares {
	return &shares{total: total, by: map[string]int{}, refused: map[string]time.Time{}}
}

// take reports whether a job of the owner may have a worker, and counts it if so.
func (s *shares) take(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[owner] >= s.total-s.taken {
		s.refused[owner] = time.Now()
		return false
	}
	s.taken++
	s.by[owner]++
	return true
}

// release gives a worker back.
func (s *shares) release(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[owner]--; s.by[owner] == 0 {
		delete(s.by, owner)
		delete(s.refused, owner)
	}
}

// wanted reports whether another job of the owner was refused since a moment. A job whose turn ends then leaves its
// worker for longer than refused jobs wait, or they would never find one free.
func (s *shares) wanted(owner string, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[owner].After(since)
}

// refusedFor is how long a refused job waits. A job that does not wait is fetched again at once, and again.
func refusedFor() time.Duration { return 250*time.Millisecond + rand.N(500*time.Millisecond) }

// yieldFor is how long a job waits after its turn if others of its owner want theirs: longer than those wait, with the
// time until they are fetched.
func yieldFor() time.Duration {
	return 750*time.Millisecond + pollInterval + rand.N(250*time.Millisecond)
}
