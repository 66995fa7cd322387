package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-orders/millrace/api"
)

const (
	healthTimeout = 5 * time.Second
	longestHealth = 64 << 10
)

var errNotHealthy = errors.New("the process is not healthy")

// healthCommand asks a process for its health. An image without a shell can use it as its health check.
type healthCommand struct {
	URL  string `arg:"" optional:"" kind:"url" default:"http://127.0.0.1:8081" help:"Address of the process: its operations address or its API."`
	Live bool   `help:"Ask whether the process is alive, instead of whether it is ready."`
}

// Run prints the answer, and fails unless it is 200.
func (c *healthCommand) Run(p *process) error {
	target, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	if target.Path == "" || target.Path == "/" {
		target.Path = "/health/ready"
		if c.Live {
			target.Path = "/health/live"
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotHealthy, err)
	}
	defer response.Body.Close()
	var health api.Health
	err = json.NewDecoder(io.LimitReader(response.Body, longestHealth)).Decode(&health)
	for _, check := range health.Checks {
		fmt.Fprintf(p.stdout, "%s %s\n", check.Name, check.Status)
	}
	if response.StatusCode != http.StatusOK || err != nil {
		return fmt.Errorf("%w: it answered %s", errNotHealthy, response.Status)
	}
	fmt.Fprintln(p.stdout, health.Status)
	return nil
}
