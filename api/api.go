// Package api serves orders over HTTP: Huma operations on a chi router, described by an OpenAPI 3.1 document.
//
// It imports orders, store, cache, limit and stream, and knows neither workers nor providers. An effect outside is
// stored as an intent, and the answer only says that it will happen.
package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace-orders/millrace/stream"
	"github.com/millrace-orders/millrace/web/docs"
)

// New makes a Server. It panics if an operation is declared wrongly, for example without a permission. Any test finds
// such a mistake.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = defaultMaxStreams
	}
	if c.MaxStreamsEach == 0 {
		c.MaxStreamsEach = defaultMaxStreamsEach
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.SlowReader == 0 {
		c.SlowReader = defaultSlowReader
	}
	s := &Server{
		config:  c,
		flights: stream.NewSlots(c.MaxInFlight, errOverloaded, errTooManyOwnRequests),
		staying: stream.NewSlots(c.MaxStreams, errTooManyStreams, errTooManyOwnStreams),
		exports: stream.NewSlots(maxExports, errTooManyExports, errTooManyOwnExports),
		started: c.Now(), draining: make(chan struct{}), metrics: newMetrics(c.Registerer),
		system: sample[systemSample]{now: c.Now}, gathered: sample[families]{now: c.Now},
	}
	s.streams = stream.New(stream.Config{
		Feed: c.Feed, Encode: encodeEvent, Heartbeat: c.Heartbeat, SlowReader: c.SlowReader, Draining: s.draining,
		Logger: c.Logger, Registerer: c.Registerer, Panics: s.metrics.panics,
	})
	s.drain = sync.OnceFunc(func() {
		close(s.draining)
		s.streams.Wait()
	})
	s.handler = s.routes()
	return s
}

// routes builds the handler. The access log and the metrics wrap recovered, so that they see its answer to a panic.
func (s *Server) routes() http.Handler {
	router := chi.NewRouter()
	router.Use(identified, secured, s.logged, s.measured, s.recovered, s.sheltered,
		crossOrigin(s.config.AllowedOrigins), sameOrigin(s.config.AllowedOrigins), s.shed, s.gated, limited,
		middleware.GetHead)
	router.NotFound(notFound)
	router.MethodNotAllowed(methodNotAllowed(router))

	api := s.operations(router)
	document := newDocument(api.OpenAPI())
	router.Method(http.MethodGet, "/openapi.json", named("openapi", document.serveJSON))
	router.Method(http.MethodGet, "/openapi.yaml", named("openapi", document.serveYAML))
	reference := named("docs", docs.Handler().ServeHTTP)
	router.Handle("/docs", reference)
	router.Handle("/docs/*", reference)
	return router
}

// operations registers all operations of the API. The handlers' dependencies may be nil if only the document is
// needed.
func (s *Server) operations(router chi.Router) huma.API {
	api := humachi.New(router, newHumaConfig(s.config.Version))
	api.UseMiddleware(labelled, s.authorized, s.rated, strict, s.audited)
	for _, o := range slices.Concat(
		s.orderOperations(), s.eventOperations(), s.deadLetterOperations(), s.inventoryOperations(),
		s.notificationOperations(), s.webhookOperations(), s.deliveryOperations(), s.systemOperations(),
		s.healthOperations(),
	) {
		o.register(api)
	}
	shape(api.OpenAPI())
	return api
}

// OpenAPI returns the document that describes the API, as JSON and as YAML.
func OpenAPI(version string) (asJSON, asYAML []byte, err error) {
	doc := New(Config{Version: version}).operations(chi.NewRouter()).OpenAPI()
	if asJSON, err = json.MarshalIndent(doc, "", "  "); err != nil {
		return nil, nil, fmt.Errorf("encode document: %w", err)
	}
	if asYAML, err = doc.YAML(); err != nil {
		return nil, nil, fmt.Errorf("encode document: %w", err)
	}
	return append(asJSON, '\n'), asYAML, nil
}
