package upstream

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// refusalCodes is how many codes of a step are counted apart. Providers choose the codes, and may invent new ones.
const (
	refusalCodes = 20
	otherCode    = "other"
)

// refusals counts the answers that refuse a step, by the provider's code.
type refusals struct {
	total *prometheus.CounterVec

	mu    sync.Mutex
	known map[string]map[string]bool // codes by step
}

func newRefusals() *refusals {
	return &refusals{known: map[string]map[string]bool{}, total: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_step_refusals_total", Help: "Answers of providers that refuse a step, by the provider's code.",
	}, []string{"step", "code"})}
}

func (r *refusals) count(step, code string) {
	r.total.WithLabelValues(step, r.bounded(step, code)).Inc()
}

// bounded returns the code, or otherCode for a new code of a step that has many.
func (r *refusals) bounded(step, code string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	codes := r.known[step]
	if codes == nil {
		codes = map[string]bool{}
		r.known[step] = codes
	}
	if !codes[code] {
		if len(codes) >= refusalCodes {
			return otherCode
		}
		codes[code] = true
	}
	return code
}
