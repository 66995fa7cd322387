package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
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
func (f remoteFlags) call(
	p *process, method, path string, body, answer any, print func() error, headers ...string,
) error {
	received, err := f.send(p.ctx, method, path, body, headers...)
	if err != nil {
		return err
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

// send sends a request with the key, and returns the body of its answer. Error: a *remoteError if the answer is no
// success.
func (f remoteFlags) send(ctx context.Context, method, path string, body any, headers ...string) ([]byte, error) {
	key := os.Getenv(keyVariable)
	if f.KeyFile != "" {
		var err error
		if key, err = readSecret(f.KeyFile); err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
	}
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(f.URL, "/")+path, &sent)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	// A redirect could lead the key, or a change, to another server.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	switch {
	case err != nil && method == http.MethodGet:
		return nil, fmt.Errorf("no answer: %w", err)
	case err != nil:
		return nil, fmt.Errorf("no answer, so it may or may not have been done: %w", err)
	}
	defer response.Body.Close()
	received, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", f.URL, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, newRemoteError(response, received)
	}
	return received, nil
}
