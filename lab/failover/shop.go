package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const tailLines = 20

// shop is Millrace on the cluster: one process with the API, one with the workers, and simulated providers.
type shop struct {
	dir, binary string
	url         string // of the database: all nodes
	simulator   *launch.Process
	simPort     int
	api, work   *launch.Process
	base        string // of the API
	client      *http.Client
}

// databaseURL names all nodes, in their order. Millrace finds the one that takes writes.
func databaseURL(c *cluster) string {
	var hosts []string
	for _, m := range c.machines {
		hosts = append(hosts, m.address)
	}
	return "postgres://millrace:" + c.machines[0].settings["MILLRACE_DATABASE_PASSWORD"] + "@" + strings.Join(hosts, ",") +
		"/" + database + "?sslmode=disable&target_session_attrs=read-write"
}

func openShop(ctx context.Context, dir, binary string, c *cluster) (*shop, error) {
	s := &shop{dir: dir, binary: binary, url: databaseURL(c), client: &http.Client{
		Timeout: 8 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	if err := s.open(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("open shop: %w", err)
	}
	return s, nil
}

func (s *shop) open(ctx context.Context) (err error) {
	if s.simPort, err = launch.FreePort(ctx); err != nil {
		return err
	}
	s.simulator, err = s.launch("simulate", "--simulator-addr", launch.Address(s.simPort),
		"--ledger", filepath.Join(s.dir, "simulator.ledger"))
	if err != nil {
		return err
	}
	if err := s.simulator.AwaitPort(ctx, launch.Address(s.simPort)); err != nil {
		return err
	}
	// Providers take a moment, so that some step is under way whenever a primary goes.
	moment := map[string]any{"latencyMs": 20, "jitterMs": 60}
	if err := s.ask(ctx, http.MethodPut, s.simulatorURL("/faults"),
		map[string]any{"payment": moment, "inventory": moment, "shipping": moment}, nil); err != nil {
		return err
	}
	migrate, err := s.launch("migrate")
	if err != nil {
		return err
	}
	if <-migrate.Done(); !migrate.State().Success() {
		return migrate.Alive()
	}
	flags := []string{"--ops-addr", launch.Address(0), "--api-connections", "8", "--work-connections", "8"}
	s.work, err = s.launch("work", append(append(flags, s.providers()...), "--sweep-every", "2s")...)
	if err != nil {
		return err
	}
	if s.api, err = s.launch("api", append(flags, "--api-addr", launch.Address(0), "--rate-limit", "0")...); err != nil {
		return err
	}
	if _, err := s.work.AwaitReady(ctx); err != nil {
		return err
	}
	ready, err := s.api.AwaitReady(ctx)
	s.base = "http://" + ready.API
	return err
}

func (s *shop) providers() []string {
	return []string{
		"--payment-url", s.simulatorURL("/payments"), "--inventory-url", s.simulatorURL("/inventory"),
		"--shipping-url", s.simulatorURL("/shipping"), "--email-url", s.simulatorURL("/email"),
	}
}

func (s *shop) simulatorURL(path string) string { return "http://" + launch.Address(s.simPort) + path }

func (s *shop) launch(command string, args ...string) (*launch.Process, error) {
	return launch.Start(launch.Program{
		Path: s.binary, Args: append([]string{command}, args...), Log: filepath.Join(s.dir, command+".log"),
		Env: []string{"DATABASE_URL=" + s.url, "PATH=/usr/bin:/bin", "HOME=" + s.dir, "MILLRACE_LOG_FORMAT=json"},
	})
}

// alive returns an error if a process of Millrace has ended.
func (s *shop) alive() error { return errors.Join(s.api.Alive(), s.work.Alive(), s.simulator.Alive()) }

// close ends all processes.
func (s *shop) close() {
	for _, p := range []*launch.Process{s.api, s.work, s.simulator} {
		if p != nil {
			p.Kill()
		}
	}
}

// connect connects as Millrace does.
func (s *shop) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return pgx.Connect(ctx, s.url)
}

// ask sends a request and decodes the answer.
func (s *shop) ask(ctx context.Context, method, url string, body, into any) error {
	status, text, err := s.send(ctx, method, url, "", body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %s", method, url, status, text)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// verify runs Millrace's own verification, also of the providers' records, until it finds nothing. What it finds after
// two minutes is an error: some findings are of a backlog, and go away.
func (s *shop) verify(ctx context.Context) error {
	var last *launch.Process
	if launch.Eventually(ctx, 2*time.Minute, func() bool {
		var err error
		if last, err = s.launch("verify", append(s.providers(), "--deep")...); err != nil {
			return false
		}
		<-last.Done()
		return last.State().Success()
	}) {
		return nil
	}
	if last == nil {
		return os.ErrProcessDone
	}
	return fmt.Errorf("millrace verify: %s", last.Tail(tailLines))
}
