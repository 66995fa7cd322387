// Package api serves orders over HTTP: Huma operations on a chi router, described by an OpenAPI 3.1 document.
//
// It imports orders, store, cache, limit and stream, and knows neither workers nor providers. An effect outside is
// stored as an intent, and the answer confirms only that it will happen.
package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/stream"
	"github.com/millrace-orders/millrace/web/docs"
)

// Server is the HTTP handler of the API.
type Server struct {
	config   Config
	handler  http.Handler
	api      huma.API
	metrics  *metrics
	streams  *stream.Streams
	load     *load
	leaving  chan struct{}
	leave    func()
	draining chan struct{}
	drain    func()

	reconfigure func(Limits, []string)
}

// New makes a Server. It panics if an operation is declared wrongly, for example without a permission. Any test finds
// such a mistake.
func New(c Config) *Server {
	c = c.withDefaults()
	s := &Server{config: c, metrics: newMetrics(c.Registerer), leaving: make(chan struct{}), draining: make(chan struct{})}
	s.load = newLoad(c, s.metrics)
	s.streams = stream.New(stream.Config{
		Feed: c.Feed, Encode: encodeEvent, Heartbeat: c.Heartbeat, SlowReader: c.SlowReader, Draining: s.draining,
		Logger: c.Logger, Registerer: c.Registerer, Panics: s.metrics.panics,
	})
	s.leave = sync.OnceFunc(func() { close(s.leaving) })
	s.drain = sync.OnceFunc(func() {
		s.leave()
		close(s.draining)
		s.streams.Wait()
	})
	s.handler = s.routes()
	s.Reconfigure(c.Limits, c.AllowedOrigins)
	return s
}

// ServeHTTP serves a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Reconfigure changes the limits and the allowed origins for the requests to come.
func (s *Server) Reconfigure(limits Limits, allowedOrigins []string) {
	s.reconfigure(limits, allowedOrigins)
}

// Leave makes /health/ready fail, and has each answer close its connection. Requests are still answered, and streams
// stay open: a balancer needs time to notice that this process is leaving. Call Drain afterwards.
func (s *Server) Leave() { s.leave() }

// Drain makes /health/ready fail, ends all event streams and exports, and answers all waiting placements. The clients
// continue at a different process. Call it before http.Server.Shutdown, which otherwise waits for streams that never
// end.
func (s *Server) Drain() { s.drain() }

// routes builds the handler. The access log and the metrics wrap recovered, so that they see its answer to a panic.
func (s *Server) routes() http.Handler {
	c, router := s.config, chi.NewRouter()
	rates := &rates{limiter: c.Limiter, proxies: c.TrustedProxies, refused: s.metrics.limited}
	origins := &origins{}
	s.reconfigure = func(limits Limits, allowed []string) {
		rates.limits.Store(&limits)
		origins.set(allowed)
	}
	access := &access{
		auth: c.Auth, audit: c.Store.Audit, cache: c.Cache, rates: rates, load: s.load,
		refusals: limit.New(limit.Config{Logger: c.Logger}),
	}
	router.Use(identifying{c.Tracer}.identified, positioned(c.Replicas), secured, parting(s.leaving),
		accessLog{c.Logger, c.TrustedProxies}.logged, s.metrics.measured, s.metrics.recovered,
		access.sheltered, origins.guard, s.load.shed, rates.gated, limited, middleware.GetHead)
	router.NotFound(notFound)
	router.MethodNotAllowed(methodNotAllowed(router))

	config := newHumaConfig(c.Version)
	config.Tags = tags()
	s.api = humachi.New(router, config)
	s.api.UseMiddleware(labelled, access.authorized, rates.rated, strict, access.audited)
	for _, o := range s.operations() {
		o.register(s.api)
	}
	shape(s.api.OpenAPI())

	document := newDocument(s.api.OpenAPI())
	router.Method(http.MethodGet, "/openapi.json", named("openapi", document.serveJSON))
	router.Method(http.MethodGet, "/openapi.yaml", named("openapi", document.serveYAML))
	reference := named("docs", docs.Handler().ServeHTTP)
	router.Handle("/docs", reference)
	router.Handle("/docs/*", reference)
	return router
}

// operations returns all operations of the API, by resource. Each resource gets what its handlers need.
func (s *Server) operations() []operation {
	c, db := s.config, s.config.Store
	read := reads{db, c.Replicas}
	lists, system := orderLists{read}, newSystemOperations(c, s.leaving)
	return slices.Concat(
		orderOperations{
			orders: db.Orders, reads: read, cache: c.Cache, holds: db.Holds, now: c.Now, logger: c.Logger,
			waiter: waiter{db.Orders, s.load, s.streams, c.Heartbeat, s.draining},
		}.all(),
		lists.all(),
		newExportOperations(read, c.SlowReader, s.draining).all(),
		eventOperations{
			orders: db.Orders, log: db.Log, reads: read, load: s.load, streams: s.streams, draining: s.draining,
		}.all(),
		ticketOperations{credentials: db.Credentials, auth: c.Auth, now: c.Now}.all(),
		deadLetterOperations{letters: db.DeadLetters, orders: db.Orders, lists: lists, now: c.Now}.all(),
		inventoryOperations{stock: db.Inventory, now: c.Now}.all(),
		notificationOperations{sent: db.Notifications}.all(),
		webhookOperations{webhooks: db.Webhooks, deliveries: db.Deliveries, policy: c.Webhooks, now: c.Now}.all(),
		deliveryOperations{deliveries: db.Deliveries}.all(),
		system.all(),
		leverOperations{levers: db.Levers, holds: db.Holds, system: system}.all(),
		historyOperations{read}.all(),
		reconciliationOperations{findings: db.Findings}.all(),
		healthOperations{version: c.Version, ready: c.Ready, schema: c.SchemaVersion, leaving: s.leaving}.all(),
	)
}

// tags returns the groups of operations, in the order of the document.
func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: tagOrders, Description: "Place, read, cancel and refund orders"},
		{Name: tagEvents, Description: "Read and follow the events of orders"},
		{Name: tagInventory, Description: "Read the stock as the inventory provider last reported it"},
		{Name: tagNotifications, Description: "Read which e-mails about orders were sent"},
		{Name: tagWebhooks, Description: "Have events sent to other systems"},
		{Name: tagOperations, Description: "For operators: orders that need attention, reconciliation, status and metrics"},
		{Name: tagHealth, Description: "Check whether the process works"},
	}
}

// OpenAPI returns the document that describes the API, as JSON and as YAML.
func OpenAPI(version string) (asJSON, asYAML []byte, err error) {
	doc := New(Config{Version: version}).api.OpenAPI()
	if asJSON, err = json.MarshalIndent(doc, "", "  "); err != nil {
		return nil, nil, fmt.Errorf("encode document: %w", err)
	}
	if asYAML, err = doc.YAML(); err != nil {
		return nil, nil, fmt.Errorf("encode document: %w", err)
	}
	return append(asJSON, '\n'), asYAML, nil
}

// Permissions returns the operations that need a credential, and what each role may do with them, as the table of
// docs/security.md.
func Permissions() string {
	var b strings.Builder
	b.WriteString("| operation |")
	for _, role := range roles.All() {
		b.WriteString(" " + string(role) + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(roles.All())) + "\n")
	for _, o := range New(Config{}).operations() {
		if o.permission != permitAnyone {
			b.WriteString("| `" + o.OperationID + "` |" + o.permission.cells() + "\n")
		}
	}
	return b.String()
}
