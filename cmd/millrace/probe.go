package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/api"
)

// mostSilence is how long a process with workers may fail to send heartbeats and be ready. After that, other processes
// take its jobs.
const mostSilence = 10 * time.Second

// probes answers the health checks of the operations address. It reads memory only, so that frequent requests of a
// stranger cost no query.
type probes struct {
	checks  map[string]func() error
	leaving <-chan struct{}
	next    http.Handler
}

// newProbes puts health checks in front of a handler. They need no credential.
func (n *node) newProbes(database *pulse, next http.Handler) *probes {
	p := &probes{checks: map[string]func() error{"database": database.Err}, leaving: n.leaving, next: next}
	if n.silence != nil {
		p.checks["heartbeat"] = func() error {
			if silence := n.silence(); silence > mostSilence {
				return fmt.Errorf("no heartbeat for %s", silence.Round(time.Second))
			}
			return nil
		}
	}
	if n.config.api != nil {
		p.checks["writes"] = n.writes.Err
	}
	return p
}

// ServeHTTP compares whole paths, so that no other path gets around the guard behind it.
func (p *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case reads && r.URL.Path == "/health/live":
		answerHealth(w, api.Health{Status: "ok", Version: version})
	case reads && r.URL.Path == "/health/ready":
		answerHealth(w, p.ready())
	default:
		p.next.ServeHTTP(w, r)
	}
}

func (p *probes) ready() api.Health {
	health := api.Health{Status: "ok", Version: version}
	for _, name := range slices.Sorted(maps.Keys(p.checks)) {
		check := api.HealthCheck{Name: name, Status: "ok"}
		switch err := p.checks[name](); {
		case errors.Is(err, api.ErrDegraded):
			check.Status = "degraded"
			if health.Status == "ok" {
				health.Status = "degraded"
			}
		case err != nil:
			check.Status, health.Status = "down", "down"
		}
		health.Checks = append(health.Checks, check)
	}
	select {
	case <-p.leaving:
		health.Status = "down"
	default:
	}
	return health
}

func answerHealth(w http.ResponseWriter, health api.Health) {
	w.Header().Set("Content-Type", "application/json")
	if health.Status == "down" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(health)
}
