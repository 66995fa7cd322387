package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-orders/millrace/trace"
)

const (
	defaultTimeout = 15 * time.Second
	dialTimeout    = 5 * time.Second
	keepAlive      = 15 * time.Second
	idleTimeout    = 30 * time.Second
	// The answer comes from an untrusted server. maxHeader bounds its header. maxRead and bodyTimeout bound what is
	// read of its body, which decides nothing. maxKept bounds what is shown.
	maxHeader = 64 << 10
	maxRead   = 4 << 10
	maxKept   = 1 << 10

	bodyTimeout = 2 * time.Second
	// maxRetryAfter bounds the wait that a receiver can ask for.
	maxRetryAfter = 24 * time.Hour
)

// Message is one message to send. Secrets are those that its receiver may know: one, or two during a rotation.
type Message struct {
	ID      string
	URL     string
	Body    string
	Secrets []Secret
}

// Outcome is the result of one attempt to send a message.
type Outcome struct {
	Delivered  bool
	Status     int           // the answer's; 0 without an answer
	Error      string        // why it was not delivered, in a few words for the webhook's owner
	Response   string        // the beginning of the answer, at most 1 KiB
	RetryAfter time.Duration // the wait that the receiver asks for, at most a day
	Blocked    bool          // the address may not be sent to, and nothing was sent
	Gone       bool          // the receiver wants no more messages (410)
	Took       time.Duration
}

// Config configures a Sender.
type Config struct {
	Policy  Policy
	Timeout time.Duration    // from dialling to the header of the answer; 15 s
	Now     func() time.Time // default time.Now
	// Resolver replaces the system's resolver. For tests.
	Resolver *net.Resolver
}

// Sender sends messages. It is safe for concurrent use.
type Sender struct {
	policy     Policy
	timeout    time.Duration
	now        func() time.Time
	transports map[string]*http.Transport // by scheme
}

// NewSender makes a Sender.
func NewSender(c Config) *Sender {
	s := &Sender{
		policy: c.Policy, timeout: cmp.Or(c.Timeout, defaultTimeout), now: c.Now, transports: map[string]*http.Transport{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, scheme := range []string{"http", "https"} {
		s.transports[scheme] = newTransport(c.Policy.newDialer(scheme, c.Resolver), s.timeout)
	}
	return s
}

// newTransport returns a transport without a proxy: a proxy would resolve the name itself.
func newTransport(dialer *net.Dialer, timeout time.Duration) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: timeout,
		MaxResponseHeaderBytes: maxHeader, MaxIdleConns: 200, MaxIdleConnsPerHost: 2, IdleConnTimeout: idleTimeout,
		DisableCompression: true, Protocols: &protocols, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// Close closes the connections that are not in use.
func (s *Sender) Close() {
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Send sends a message once. It does not follow redirects: they are failures. If ctx has ended, the outcome says
// nothing about the receiver, so the caller must check ctx.
func (s *Sender) Send(ctx context.Context, m Message) Outcome {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	out := s.send(ctx, m)
	out.Took = time.Since(start)
	return out
}

func (s *Sender) send(ctx context.Context, m Message) Outcome {
	// The policy may have changed since the URL was registered.
	if err := s.policy.Check(m.URL); err != nil {
		return Outcome{Blocked: true, Error: "url " + err.Error()}
	}
	request, err := s.request(ctx, m)
	if err != nil {
		return Outcome{Blocked: true, Error: "malformed url"}
	}
	response, err := s.transports[request.URL.Scheme].RoundTrip(request)
	if err != nil {
		return Outcome{Blocked: errors.Is(err, ErrBlocked), Error: reason(err)}
	}
	defer response.Body.Close()
	trace.Status(ctx, response.StatusCode)

	out := Outcome{Status: response.StatusCode, Response: beginning(ctx, response)}
	if response.StatusCode >= 200 && response.StatusCode <= 299 {
		out.Delivered = true // whatever the body: for Standard Webhooks the status decides
		return out
	}
	out.Error = "status " + strconv.Itoa(response.StatusCode)
	out.Gone = response.StatusCode == http.StatusGone
	out.RetryAfter = retryAfter(response.Header.Get("Retry-After"), s.now())
	return out
}

// beginning returns the part of an answer that is shown. It reads a short body to its end, so that the connection can
// be reused. After 101 the connection is the caller's, and ctx would not end a read of it, so nothing is read.
func beginning(ctx context.Context, response *http.Response) string {
	if response.StatusCode < http.StatusOK {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, bodyTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = response.Body.Close() })()
	b, _ := io.ReadAll(io.LimitReader(response.Body, maxRead)) // a body that breaks off is shown as far as it came
	return printable(b)
}

// interimError is an unsolicited interim answer (1xx). 100 and 103 are harmless. Any other is from a server that speaks
// a different protocol, and more could follow.
type interimError struct{ status int }

func (e *interimError) Error() string { return "status " + strconv.Itoa(e.status) }

func refuseInterim(status int, _ textproto.MIMEHeader) error {
	if status != http.StatusContinue && status != http.StatusEarlyHints {
		return &interimError{status}
	}
	return nil
}

func (s *Sender) request(ctx context.Context, m Message) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: refuseInterim})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, strings.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	trace.Send(ctx, request.Header)
	request.GetBody = nil // otherwise the transport resends by itself when a kept connection breaks
	now := s.now()
	signatures := make([]string, len(m.Secrets))
	for i, secret := range m.Secrets {
		signatures[i] = secret.Sign(m.ID, now, m.Body)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Encoding", "identity") // the beginning of the answer is shown undecoded
	request.Header.Set("User-Agent", "millrace")
	request.Header.Set(HeaderID, m.ID)
	request.Header.Set(HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(HeaderSignature, strings.Join(signatures, " "))
	return request, nil
}

// reason describes an error without revealing the network: the message goes to the caller that registered the address.
func reason(err error) string {
	var network net.Error
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var interim *interimError
	switch {
	case errors.As(err, &interim):
		return interim.Error()
	case errors.Is(err, ErrBlocked):
		return ErrBlocked.Error()
	case errors.As(err, &dns):
		return "name not resolved"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &certificate):
		return "bad certificate"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	var url *url.Error
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && !errors.As(err, &url) {
		return "connection refused"
	}
	return "connection failed"
}

// retryAfter reads seconds, of any number of digits, or a date (RFC 9110, 10.2.3).
func retryAfter(header string, now time.Time) (wait time.Duration) {
	if n, err := strconv.ParseUint(header, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		wait = time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// printable returns the beginning of an answer as text that can be stored and shown.
func printable(b []byte) string {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, string(b))
	if len(text) > maxKept {
		text = text[:maxKept]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}
