package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// proxy is a TCP proxy in this process. It can inject faults.
type proxy struct {
	*toxiproxy.Proxy
	port int
}

// toxic is a fault in one direction of a proxy. Toxiproxy's own are latency, bandwidth, slow_close, timeout,
// reset_peer, slicer and limit_data; lostCommit is ours.
type toxic struct {
	Type       string         `json:"type"`
	Name       string         `json:"name"`
	Stream     string         `json:"stream"` // upstream: from the client; downstream: to it
	Toxicity   float32        `json:"toxicity"`
	Attributes map[string]any `json:"attributes"`
}

func newProxy(ctx context.Context, name string, target int) (*proxy, error) {
	port, err := launch.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	logger := zerolog.Nop()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), logger)
	p := &proxy{toxiproxy.NewProxy(server, name, launch.Address(port), launch.Address(target)), port}
	return p, p.Start()
}

// poison adds toxics to existing and to new connections.
func (p *proxy) poison(list ...toxic) error {
	for _, t := range list {
		if t.Toxicity == 0 {
			t.Toxicity = 1
		}
		t.Name = t.Type + "_" + t.Stream
		b, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := p.Toxics.AddToxicJson(bytes.NewReader(b)); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return nil
}

// blackHole passes no byte in either direction. Connections stay open, and new ones are accepted.
func (p *proxy) blackHole() error {
	return p.poison(
		toxic{Type: "timeout", Stream: "upstream", Attributes: map[string]any{"timeout": 0}},
		toxic{Type: "timeout", Stream: "downstream", Attributes: map[string]any{"timeout": 0}},
	)
}

// heal removes all faults.
func (p *proxy) heal(ctx context.Context) error {
	p.Toxics.ResetToxics(ctx)
	if p.Enabled {
		return nil
	}
	return p.Start()
}

// lostCommit drops the connection in place of the server's answer to a COMMIT. The commit is done, and the client does
// not know.
type lostCommit struct {
	Rate float64 `json:"rate"` // of all commits, 0 to 1
}

// Pipe looks for the tag of the CommandComplete message of the Postgres protocol. A tag that the network splits in two
// is missed: that costs a fault, not the run.
func (t *lostCommit) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil || bytes.Contains(chunk.Data, []byte("COMMIT\x00")) && rand.Float64() < t.Rate {
				stub.Close()
				return
			}
			stub.Output <- chunk
		}
	}
}

const lostCommitToxic = "lost_commit"

func registerToxics() { toxics.Register(lostCommitToxic, new(lostCommit)) }
