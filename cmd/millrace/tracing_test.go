package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millrace-orders/millrace/store/storetest"
)

// spans is a receiver of OTLP over HTTP.
type spans struct {
	*httptest.Server
	mu   sync.Mutex
	all  []*tracepb.Span
	read strings.Builder // everything that was received
}

func newSpans(t *testing.T) *spans {
	t.Helper()
	s := new(spans)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.read.Write(body)
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				s.all = append(s.all, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// named returns the spans of that name so far.
func (s *spans) named(name string) (found []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		if span.GetName() == name {
			found = append(found, span)
		}
	}
	return found
}

func (s *spans) everything() []*tracepb.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// TestOneTrace follows an order from its request to the receiver of its webhook, in one trace.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	otlp := newSpans(t)
	var heard sync.Map // traceparents that the receiver of webhooks got
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		heard.Store(r.Header.Get("Traceparent"), true)
	}))
	t.Cleanup(receiver.Close)
	m := startProcessWith(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + otlp.URL, "OTEL_BSP_SCHEDULE_DELAY=100", "MILLRACE_LOG_FORMAT=json",
	}, append(serveArgs(storetest.URL(t), newSimulators(t)), "--webhook-networks", "127.0.0.0/8")...)
	status, _, body := do(t, http.MethodPost, m.api+"/api/webhooks", `{"url": "`+receiver.URL+`"}`)
	require.Equal(t, http.StatusCreated, status, string(body))

	const caller, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	const email, street = "ada.lovelace@example.com", "12 St James Square"
	status, _, body = do(t, http.MethodPost, m.api+"/api/orders", `{"customerId": "1", "customerEmail": "`+email+`",
		"items": [{"productId": 1, "quantity": 2, "price": 29.99}], "shippingAddress": {"name": "Ada Lovelace",
		"line1": "`+street+`", "city": "London", "country": "GB"}}`, "Traceparent", "00-"+caller+"-"+parent+"-01")
	require.Equal(t, http.StatusAccepted, status, string(body))
	var placed order
	require.NoError(t, json.Unmarshal(body, &placed))
	m.await(placed.OrderID, "completed")

	id := func(b []byte) string { return hex.EncodeToString(b) }
	one := func(name string) *tracepb.Span {
		t.Helper()
		require.Eventually(t, func() bool { return len(otlp.named(name)) > 0 }, time.Minute, 20*time.Millisecond, name)
		return otlp.named(name)[0]
	}
	below := func(child, parent *tracepb.Span) {
		t.Helper()
		require.Equal(t, id(parent.GetSpanId()), id(child.GetParentSpanId()), child.GetName())
		require.Equal(t, caller, id(child.GetTraceId()), child.GetName())
	}
	request, create, job := one("POST /api/orders"), one("CreateOrder"), one("process orders")
	require.Equal(t, parent, id(request.GetParentSpanId()))
	below(create, request)
	below(job, create)
	for _, name := range []string{
		"AuthorizePayment", "CheckInventory", "QuoteShipping", "CapturePayment", "BookShipment", "SendEmail",
	} {
		below(one(name), job)
	}
	message := one("send webhook")
	below(message, create)
	save := one("SaveOrder")
	require.Empty(t, save.GetParentSpanId())
	require.NotEqual(t, caller, id(save.GetTraceId()))
	require.Equal(t, id(create.GetSpanId()), id(save.GetLinks()[0].GetSpanId()))
	require.Equal(t, id(save.GetSpanId()), id(create.GetLinks()[0].GetSpanId()))
	calls := 0
	for _, attempt := range []string{"AuthorizePayment", "CheckInventory"} {
		for _, span := range otlp.everything() {
			if id(span.GetParentSpanId()) == id(one(attempt).GetSpanId()) {
				require.Equal(t, tracepb.Span_SPAN_KIND_CLIENT, span.GetKind())
				calls++
			}
		}
	}
	require.Equal(t, 2, calls)
	require.Eventually(t, func() bool {
		found := false
		heard.Range(func(key, _ any) bool {
			found = found || strings.HasPrefix(key.(string), "00-"+caller+"-")
			return true
		})
		return found
	}, time.Minute, 20*time.Millisecond, "the receiver is told of the trace")

	require.NoError(t, m.stop())
	log := m.log.String()
	for _, personal := range []string{email, "Lovelace", street, "London"} {
		require.NotContains(t, log, personal)
		require.NotContains(t, otlp.read.String(), personal)
	}
	require.Contains(t, log, `"msg":"order ended"`)
	require.Contains(t, log, `"trace_id":"`+caller+`"`)
}

// What is asked for wrongly stops the process, and nothing is asked for by default.
func TestNewTracing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env  map[string]string
		on   bool
		says string
	}{
		"Off":      {nil, false, ""},
		"None":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"Disabled": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, false, ""},
		"On":       {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"GRPC": {
			map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "http/protobuf",
		},
		"Exporter": {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "zipkin"},
		"Sampler":  {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "x"}, false, "unknown"},
		"Ratio": {
			map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER_ARG": "10%"}, false, "0 to 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, err := newTracing(t.Context(), func(name string) string { return tt.env[name] },
				slog.New(slog.DiscardHandler))
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.on, provider != nil)
			if provider != nil {
				require.NoError(t, provider.Shutdown(context.Background()))
			}
		})
	}
}
