package client

import (
	"net/http"
	"strings"
	"sync"
)

const headerPosition = "Millrace-Position"

// position is what the client has seen of the server's database. It goes along with each request, so that a replica
// answers only if it shows as much.
type position struct {
	mu   sync.Mutex
	text string
}

// tell adds the position to a request, unless the caller has set one.
func (p *position) tell(h http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != "" && h.Get(headerPosition) == "" {
		h.Set(headerPosition, p.text)
	}
}

// learn takes the position of an answer, unless a later one is known. Positions that begin with the same mark sort as
// text; of two marks, the one that arrived last counts.
func (p *position) learn(h http.Header) {
	text := h.Get(headerPosition)
	if text == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mark, _, _ := strings.Cut(p.text, "-")
	if other, _, _ := strings.Cut(text, "-"); other != mark || text > p.text {
		p.text = text
	}
}
