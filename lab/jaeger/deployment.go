package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	patience = 2 * time.Minute
	grace    = 20 * time.Second
)

// The caller's own trace, of which the order becomes a part.
const (
	callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan  = "00f067aa0ba902b7"
)

// deployment is a Millrace beside a Jaeger.
type deployment struct {
	dir, millrace, jaeger string

	processes []*launch.Process
	receiver  *http.Server // of webhooks
	api       string
	query     string // Jaeger's query API
}

func (d *deployment) start(ctx context.Context) error {
	ports := make([]int, 6)
	for i := range ports {
		var err error
		if ports[i], err = launch.FreePort(ctx); err != nil {
			return err
		}
	}
	otlp, query := launch.Address(ports[0]), launch.Address(ports[1])
	d.query = "http://" + query
	config := filepath.Join(d.dir, "jaeger.yaml")
	text := fmt.Sprintf(configuration, query, launch.Address(ports[2]), otlp)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	jaeger, err := d.launch("jaeger", d.jaeger, nil, "--config", config)
	if err != nil {
		return err
	}
	for _, address := range []string{otlp, query} {
		if err := jaeger.AwaitPort(ctx, address); err != nil {
			return err
		}
	}
	receiver, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.receiver = &http.Server{ReadHeaderTimeout: grace, Handler: http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = d.receiver.Serve(receiver) }()
	api := launch.Address(ports[3])
	d.api = "http://" + api
	millrace, err := d.launch("millrace", d.millrace,
		[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp, "OTEL_BSP_SCHEDULE_DELAY=200"},
		"dev", "--api-addr", api, "--ops-addr", launch.Address(ports[4]), "--simulator-addr", launch.Address(ports[5]),
		"--data", filepath.Join(d.dir, "data"))
	if err != nil {
		return err
	}
	if err := millrace.AwaitPort(ctx, api); err != nil {
		return err
	}
	webhook := map[string]any{"url": "http://" + receiver.Addr().String()}
	return d.ask(ctx, http.MethodPost, d.api+"/api/webhooks", webhook, nil)
}

// configuration keeps traces in memory, and listens on this machine alone.
const configuration = `service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: %q}
    grpc: {endpoint: %q}
receivers:
  otlp: {protocols: {http: {endpoint: %q}}}
processors:
  batch: {}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
`

func (d *deployment) launch(name, path string, env []string, args ...string) (*launch.Process, error) {
	p, err := launch.Start(launch.Program{
		Path: path, Args: args, Log: filepath.Join(d.dir, name+".log"),
		Env: append(os.Environ(), env...), //nolint:forbidigo // passed on, not read
	})
	if err == nil {
		d.processes = append(d.processes, p)
	}
	return p, err
}

// stop ends what has been started, Millrace first: it exports what it still has.
func (d *deployment) stop() {
	for _, process := range slices.Backward(d.processes) {
		_ = process.Stop(syscall.SIGTERM, grace)
	}
	if d.receiver != nil {
		_ = d.receiver.Close()
	}
}

// place places an order as a caller that traces.
func (d *deployment) place(ctx context.Context) (id string, err error) {
	var placed struct{ OrderID string }
	return placed.OrderID, d.ask(ctx, http.MethodPost, d.api+"/api/orders", map[string]any{
		"customerId": "1", "customerEmail": "jaeger@example.com",
		"items": []map[string]any{{"productId": 1, "quantity": 2, "price": json.Number("29.99")}},
		"shippingAddress": map[string]any{
			"name": "A. Customer", "line1": "1 Main St", "city": "Springfield", "country": "US",
		},
	}, &placed, "Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
}

// ask makes a request and decodes its answer.
func (d *deployment) ask(ctx context.Context, method, url string, body, into any, header ...string) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	return launch.Ask(ctx, http.DefaultTransport.RoundTrip, method, url, body, into, header...)
}
