package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	userAgent            = "millrace-go"
	headerIdempotencyKey = "Idempotency-Key"
)

var errNoAnswer = errors.New("no answer in time")

// transport is the http.Client of the generated client. It adds the headers that every request needs, repeats failed
// requests, and turns error answers into problems. Repeating is safe: every change carries an idempotency key.
type transport struct {
	http      *http.Client
	token     string
	userAgent string
	retries   int
	timeout   time.Duration
	backoff   func(attempt int) time.Duration
	position  position
}

// Do sends a request until it gets an answer, a permanent failure, or runs out of attempts. Do reads JSON to its end
// before it returns, so a cut-off answer counts as a failure. Other bodies are streams.
func (t *transport) Do(r *http.Request) (*http.Response, error) {
	t.prepare(r)
	for attempt := 0; ; attempt++ {
		response, err := t.attempt(r)
		if err == nil {
			t.position.learn(response.Header)
			return response, nil
		}
		if attempt >= t.retries || r.Context().Err() != nil || !temporary(err) {
			return nil, err
		}
		if !wait(r.Context(), max(t.backoff(attempt), retryAfter(err))) {
			return nil, err
		}
	}
}

func (t *transport) prepare(r *http.Request) {
	r.Header.Set("User-Agent", t.userAgent)
	r.Header.Del("Authorization")
	if t.token != "" {
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	t.position.tell(r.Header)
	if r.Method != http.MethodGet && r.Header.Get(headerIdempotencyKey) == "" {
		r.Header.Set(headerIdempotencyKey, uuid.NewString())
	}
}

// attempt sends the request once.
func (t *transport) attempt(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(t.timeout, func() { cancel(errNoAnswer) })
	defer timer.Stop()
	once := r.Clone(ctx)
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		once.Body = body
	}
	response, err := t.http.Do(once)
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	if response.StatusCode < http.StatusOK { // 101: the context would not end reads of what follows
		cancel(nil)
		_ = response.Body.Close()
		return nil, newProblem(response, nil)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	// The answer of a health check is the same whatever its status.
	isHealth := media == "application/json" && strings.Contains(r.URL.Path, "/health")
	failed := response.StatusCode >= http.StatusBadRequest && !isHealth
	if !isJSON && !failed {
		response.Body = &streamBody{response.Body, cancel}
		return response, nil
	}
	defer cancel(nil)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", causeOf(ctx, err))
	}
	if failed {
		return nil, newProblem(response, body)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// causeOf returns why the attempt was cancelled. A request's own error lacks the cause.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errNoAnswer) {
		return cause
	}
	return err
}

// streamBody is the body of an answer that is read while it arrives.
type streamBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (s *streamBody) Close() error {
	s.cancel(nil)
	return s.ReadCloser.Close()
}
