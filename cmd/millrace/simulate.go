package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// simulateCommand runs the provider simulators as a separate process.
type simulateCommand struct {
	SimulatorAddr string `env:"MILLRACE_SIMULATOR_ADDR" default:"127.0.0.1:8082" kind:"address" help:"Address on which the simulators listen."`
	Ledger        string `env:"MILLRACE_LEDGER" default:"simulator.ledger" kind:"file" help:"File in which the simulators record every effect."`
	Seed          uint64 `env:"MILLRACE_SEED" default:"1" help:"Seed of the random faults."`
	AnyAddr       bool   `env:"MILLRACE_SIMULATOR_ANY_ADDR" help:"Allow an address that is not loopback. The simulators ask for no credentials."`
	logFlags      `group:"Logs"`
}

// Validate keeps the simulators off the network unless a flag allows it.
func (c *simulateCommand) Validate() error {
	if !c.AnyAddr && !isLoopback(c.SimulatorAddr) {
		return fmt.Errorf("listening on %s needs --any-addr: every machine could reach the simulators", c.SimulatorAddr)
	}
	return nil
}

// Run simulates until the process is told to stop.
func (c *simulateCommand) Run(p *process) error {
	sim, err := startSimulators(p.ctx, simulatorConfig{
		addr: c.SimulatorAddr, ledger: c.Ledger, seed: c.Seed, anyName: c.AnyAddr,
	}, c.logger(p.stderr))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "simulators on http://%s, ledger at http://%[1]s/ledger\n", sim.addr); err != nil {
		return err
	}
	select {
	case err = <-sim.failed:
	case <-p.ctx.Done():
	}
	return errors.Join(err, sim.stop())
}

type simulators struct {
	addr   string
	failed chan error
	stop   func() error
}

func (s *simulators) url(p orders.Provider) string {
	path := map[orders.Provider]string{
		orders.Payment: "payments", orders.Inventory: "inventory", orders.Shipping: "shipping", orders.Email: "email",
	}
	return "http://" + s.addr + "/" + path[p]
}

// simulatorConfig configures the simulators.
type simulatorConfig struct {
	addr, ledger string
	seed         uint64
	anyName      bool // answer other machines, under any host name
}

func startSimulators(ctx context.Context, c simulatorConfig, logger *slog.Logger) (*simulators, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", c.addr)
	if err != nil {
		return nil, fmt.Errorf("listen for simulators (is another millrace running? --simulator-addr chooses another "+
			"address): %w", err)
	}
	sim, err := simulator.Open(simulator.Config{Path: c.ledger, Logger: logger, Seed: c.seed})
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	// A page in a browser on this machine must not set faults, or move the money of the simulation.
	handler := http.NewCrossOriginProtection().Handler(sim.Handler())
	if !c.anyName {
		handler = localOnly(always, handler)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
	}
	failed := make(chan error, 1)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve simulators: %w", err)
		}
	}()
	return &simulators{addr: listener.Addr().String(), failed: failed, stop: func() error {
		return errors.Join(server.Close(), sim.Close())
	}}, nil
}
