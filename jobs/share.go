package jobs

import (
	"math/rand/v2"
	"sync"
	"time"
)

// shares divides the workers of a queue among owners. An owner may hold as many workers as are left. So a lone owner
// gets half of them, the next owner half of the rest, and slow receivers of one owner leave a worker for another.
type shares struct {
	total int

	mu      sync.Mutex
	taken   int
	by      map[string]int       // workers that each owner holds
	refused map[string]time.Time // when a job of the owner was last refused
}

func newShares(total int) *shares {
	return &shares{total: total, by: map[string]int{}, refused: map[string]time.Time{}}
}

// take reports whether a job of the owner may have a worker, and counts the worker if so.
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

// wanted reports whether another job of the owner was refused since the given time. In that case a job that ends its
// turn waits longer than refused jobs do; otherwise they would never find a free worker.
func (s *shares) wanted(owner string, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[owner].After(since)
}

// refusedFor returns how long a refused job waits. Without a wait, the job would be fetched again at once.
func refusedFor() time.Duration { return 250*time.Millisecond + rand.N(500*time.Millisecond) }

// yieldFor returns how long a job waits after its turn if other jobs of its owner were refused. It is longer than
// refusedFor, plus the time until River fetches those jobs.
func yieldFor() time.Duration {
	return 750*time.Millisecond + pollInterval + rand.N(250*time.Millisecond)
}
