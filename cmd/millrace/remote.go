package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	apiproblems "github.com/millrace-orders/millrace/api/problems"
)

const (
	remoteTimeout = 30 * time.Second
	// longestAnswer is far above a page of the largest orders.
	longestAnswer = 64 << 20
	keyVariable   = "MILLRACE_KEY"
)

// remoteFlags say which Millrace a command calls, over its API. There is no flag for the key: every user of the machine
// can read a command line.
type remoteFlags struct {
	URL     string `env:"MILLRACE_URL" default:"http://127.0.0.1:8080" kind:"url" help:"Address of the API. $MILLRACE_KEY has the key."`
	KeyFile string `env:"MILLRACE_KEY_FILE" help:"File with the key, in place of $MILLRACE_KEY."`
	JSON    bool   `name:"json" help:"Print the answer as JSON."`
}

// call sends a request and reads its answer. With --json it prints the answer as well, and print is not called.
func (f remoteFlags) call(p *process, method, path string, body, answer any, print func() error) error {
	key := os.Getenv(keyVariable)
	if f.KeyFile != "" {
		var err error
		if key, err = readSecret(f.KeyFile); err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
	}
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, remoteTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(f.URL, "/")+path, &sent)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	// A redirect could lead the key, or a change, to another server.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	received, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return remoteError(response, received)
	}
	if f.JSON {
		_, err = p.stdout.Write(received)
		return err
	}
	if err := json.Unmarshal(received, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", f.URL, err)
	}
	return print()
}

// remoteError turns a problem into an error. A proxy may answer with something else.
func remoteError(response *http.Response, body []byte) error {
	var problem apiproblems.Problem
	if json.Unmarshal(body, &problem) != nil || problem.Code == "" {
		return fmt.Errorf("the server answered %s", response.Status)
	}
	var fields strings.Builder
	for _, field := range problem.Errors {
		fmt.Fprintf(&fields, "; %s %s", field.Location, field.Message)
	}
	return fmt.Errorf("%d %s: %s%s (request %s)", problem.Status, problem.Code, problem.Detail, fields.String(),
		problem.RequestID)
}
