package main

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/riverqueue/river"
	"riverqueue.com/riverui"

	"github.com/millrace-orders/millrace/board"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
)

const riverPrefix = "/riverui"

// startOps serves the operators' pages on a separate address: the board, River UI, metrics and profiles.
func (n *node) startOps(client *river.Client[pgx.Tx], s *store.Store, database *pulse) error {
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(client, nil), Prefix: riverPrefix, Logger: n.logger,
	})
	if err != nil {
		return fmt.Errorf("make River UI: %w", err)
	}
	// River UI is not started: its service would count all jobs every ten seconds, in each process, whether or not a
	// page is open. It counts when a page asks.
	mux := http.NewServeMux()
	mux.Handle(riverPrefix+"/", policed(riverPolicy, ui))
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics(), promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, Registry: n.registry, EnableOpenMetrics: true, // for exemplars
	}))
	mux.Handle("GET /debug/pprof/", policed(profilePolicy, profile(pprof.Index)))
	mux.Handle("GET /debug/pprof/profile", profile(pprof.Profile))
	mux.Handle("GET /debug/pprof/symbol", profile(pprof.Symbol))
	mux.Handle("GET /debug/pprof/trace", profile(pprof.Trace))
	mux.HandleFunc("GET /log-level", n.level.show)
	mux.HandleFunc("PUT /log-level", n.level.change)
	mux.HandleFunc("GET /{$}", opsIndex)
	looking, err := store.New(store.Config{DB: n.opsPool, Now: n.clock.Now, Wall: time.Now})
	if err != nil {
		return err
	}
	mux.Handle(board.Prefix, board.New(board.Config{
		Store: looking, Caller: opsCaller, Now: n.clock.Now, Logger: n.logger, Version: version,
		Troubles: n.troubles.latest,
	}))

	auth := n.authenticator(s)
	limiter := limit.New(limit.Config{Logger: n.logger})
	n.background(limiter.Run)
	g := &guard{auth: auth, store: s, limiter: limiter, logger: n.logger, next: mux}
	// River UI accepts a POST of any content type from any site, with the browser's credentials.
	handler := hardened(localOnly(auth.IsOpen, http.NewCrossOriginProtection().Handler(n.newProbes(database, g))))
	n.serve("ops", handler, func() {}, time.Second)
	return nil
}

func opsIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>Millrace operations</title><h1>Millrace operations</h1>
<ul><li><a href="/board/">The board</a>: where everything stands, and what needs a person
<li><a href="/riverui/">River UI</a>: jobs and queues<li><a href="/metrics">Metrics</a>
<li><a href="/debug/pprof/">Profiles</a></ul></html>
`)
}
