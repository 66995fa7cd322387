package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/riverqueue/river"
	"riverqueue.com/riverui"
)

const riverPrefix = "/riverui"

// startOps serves what operators use, on an address of its own: River UI, metrics and profiles.
func (n *node) startOps(ctx context.Context, client *river.Client[pgx.Tx]) error {
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(client, nil), Prefix: riverPrefix, Logger: n.logger,
	})
	if err != nil {
		return fmt.Errorf("make River UI: %w", err)
	}
	uiCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.onStop(cancel)
	if err := ui.Start(uiCtx); err != nil {
		return fmt.Errorf("start River UI: %w", err)
	}

	mux := http.NewServeMux()
	// River UI takes a POST of any content type from any site, with the browser's credentials.
	mux.Handle(riverPrefix+"/", http.NewCrossOriginProtection().Handler(ui))
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, Registry: n.registry,
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", opsIndex)
	return n.listen(ctx, "ops", n.config.ops.OpsAddr, guard(n.config.security.Token, mux), func() {}, time.Second)
}

func opsIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>Millrace operations</title><h1>Millrace operations</h1>
<ul><li><a href="/riverui/">River UI</a>: jobs and queues<li><a href="/metrics">Metrics</a>
<li><a href="/debug/pprof/">Profiles</a></ul></html>
`)
}

// guard asks for the token, as a bearer token or, for browsers, as the password of any user. An empty token leaves
// next open, which the settings allow on loopback only.
func guard(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, given, basic := r.BasicAuth()
		if !basic {
			given = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		}
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="millrace", charset="UTF-8"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localOnly answers only to the names of this machine, where nothing asks for credentials: a web page whose name was
// made to point to 127.0.0.1 is the same origin to the browser that shows it.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !isLoopback(net.JoinHostPort(strings.Trim(host, "[]"), "0")) {
			http.Error(w, "set a token to be reached by this name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
