package limit

import "sync"

// Reserve decides whether a request may begin that counts or not only at its end, such as an attempt with a credential
// that may be right. It counts nothing, but holds one of the subject's requests until release is called. So
// simultaneous requests do not exceed the limit together. If the request counts, call Allow before release.
func (l *Limiter) Reserve(name string, limit int) (d Decision, release func()) {
	name = key(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s, ok := l.subjects[name]
	if !ok {
		s = new(subject)
	}
	s.forget(now.Add(-l.config.Window))
	used := s.requests() + l.reserved[name]
	if used >= limit {
		return Decision{Reset: l.reset(s, used-limit+1, now)}, func() {}
	}
	l.reserved[name]++
	return Decision{Allowed: true, Remaining: limit - used - 1, Reset: l.reset(s, 1, now)},
		sync.OnceFunc(func() { l.release(name) })
}

func (l *Limiter) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reserved[name]--; l.reserved[name] <= 0 {
		delete(l.reserved, name)
	}
}
