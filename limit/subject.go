package limit

import (
	"slices"
	"time"

	"github.com/millrace-orders/millrace/store"
)

// subject is what a process knows of one subject's requests: the segments that still count, oldest first.
type subject struct {
	name     string
	segments []segment
	ranked   int // the number of requests that its place in the ranking is based on
	place    int // in the ranking
}

// segment is the requests of one segment of time.
type segment struct {
	start, last time.Time
	own         int // admitted by this process
	sent        int // the part of own that is in shared
	shared      int // admitted by all processes, as last read
}

// requests is at least this process's own count, whatever the database returns: a crash may have emptied its table.
func (s *segment) requests() int { return max(s.own, s.shared+s.own-s.sent) }

func (s *subject) requests() (n int) {
	for i := range s.segments {
		n += s.segments[i].requests()
	}
	return n
}

// forget drops the segments whose last request came at until or before.
func (s *subject) forget(until time.Time) {
	s.segments = slices.DeleteFunc(s.segments, func(g segment) bool { return !g.last.After(until) })
}

// free returns the time of the last request in the segments that must be forgotten to free n requests.
func (s *subject) free(n int) (last time.Time) {
	for i := range s.segments {
		if g := &s.segments[i]; g.requests() > 0 {
			if g.last.After(last) {
				last = g.last
			}
			if n -= g.requests(); n <= 0 {
				return last
			}
		}
	}
	return last
}

// at returns the segment that begins at start.
func (s *subject) at(start time.Time) *segment {
	i, found := slices.BinarySearchFunc(s.segments, start, func(g segment, t time.Time) int {
		return g.start.Compare(t)
	})
	if !found {
		s.segments = slices.Insert(s.segments, i, segment{start: start})
	}
	return &s.segments[i]
}

// add counts a request.
func (s *subject) add(start, now time.Time) {
	g := s.at(start)
	g.own++
	if now.After(g.last) { // a clock may be set back
		g.last = now
	}
}

// unsent appends the counts that were admitted and not yet shared.
func (s *subject) unsent(name string, counts []store.RateCount) []store.RateCount {
	for _, g := range s.segments {
		if g.own > g.sent {
			counts = append(counts, store.RateCount{
				Subject: name, Segment: g.start, Requests: int64(g.own - g.sent), Last: g.last,
			})
		}
	}
	return counts
}

// sent records that requests have been shared. They may have been forgotten since.
func (s *subject) sent(c store.RateCount) {
	g := s.at(c.Segment)
	g.sent = min(g.own, g.sent+int(c.Requests))
}

// read records a total of all processes.
func (s *subject) read(c store.RateCount) {
	g := s.at(c.Segment)
	g.shared = int(c.Requests)
	if c.Last.After(g.last) {
		g.last = c.Last
	}
}
