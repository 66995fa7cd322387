// Package upstream calls the four providers: payment, inventory, shipping and e-mail. docs/providers.md is its contract
// with them over HTTP. E-mail may go to a mail server over SMTP instead (docs/notifications.md).
//
// A call is one attempt, with a deadline, behind the provider's circuit breaker. It ends in an answer or in one of the
// error classes of error.go. Each class states what is known about the money. jobs decides when to retry. jobs and cmd
// may import this package; it imports orders, go-mail, gobreaker and prometheus, and reads no environment.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
)

// Config has the providers' addresses, and the limits of calls to them. Only URLs has no default.
type Config struct {
	// URLs are the base URLs of all providers, such as http://127.0.0.1:8082/payments. No credentials, no query.
	URLs map[orders.Provider]string
	// Tokens are sent as "Authorization: Bearer …" to the providers that have one.
	Tokens map[orders.Provider]string
	// SMTP, if set, replaces the e-mail provider's URL.
	SMTP *SMTP
	// Timeout bounds one call from the wait for a connection to the last byte of the answer; 10 s. The caller's own
	// deadline applies too, if it is earlier.
	Timeout time.Duration
	// MaxConns bounds the connections to each provider; 64. Further callers wait, within their own deadlines.
	MaxConns int
	// Breaker has the settings of each provider's circuit breaker.
	Breaker Breaker
	// Logger logs a breaker's changes of state; may be nil. Errors are returned, not logged.
	Logger *slog.Logger
	// Registerer gets the metrics; may be nil.
	Registerer prometheus.Registerer
	// Transport replaces each provider's own transport. For tests.
	Transport http.RoundTripper
}

// Clients are the clients of all providers. They are safe for concurrent use.
type Clients struct {
	clients map[orders.Provider]*client // without e-mail if there is a mailer
	mailer  *mailer                     // nil: e-mail has an HTTP provider like the other steps
}

// Answer is a provider's outcome for a key. From Send it is always StateSucceeded.
type Answer struct {
	// State is StateSucceeded, StateRefused, or StateUnknown. Unknown means that the provider has not finished the
	// step, or has never seen its key, which does not prove that it never will.
	State     orders.StepState
	Reference string // the provider's own id, if it succeeded and the provider gave one
	Code      string // why it was refused
	Nothing   bool   // of an undo that succeeded: the provider never did what it undoes
}

// UndidNothing reports whether an undo found nothing, although the step that it undoes is known to have happened. Then
// the provider has forgotten the key, and the undo is not a success. undone is the state of that step; empty without
// one.
func (a Answer) UndidNothing(undone orders.StepState) bool {
	return a.Nothing && undone == orders.StateSucceeded
}

// New returns the clients, or every problem of the configuration at once. No connection is made before the first call.
func New(c Config) (*Clients, error) {
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxConns = cmp.Or(c.MaxConns, 64)
	c.Breaker = c.Breaker.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	bases, err := c.check()
	var mail mailSettings
	if c.SMTP != nil {
		var problems error
		mail, problems = c.SMTP.check()
		err = errors.Join(err, problems)
	}
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	clients := map[orders.Provider]*client{}
	for p, base := range bases {
		clients[p] = newClient(p, base, c, m)
	}
	if c.SMTP == nil {
		return &Clients{clients, nil}, nil
	}
	mailer := &mailer{
		mailSettings: mail, timeout: c.Timeout, breaker: newBreaker(orders.Email, c.Breaker, c.Logger, m), metrics: m,
		lane: new(lane),
	}
	mailer.password.Store(&c.SMTP.Password)
	return &Clients{clients, mailer}, nil
}

// Send posts the step's request under its idempotency key and returns the provider's answer. The answer's reference is
// empty if the provider's is unfit to store: the effect counts, not its name.
//
// body is sent as it is. Errors: *RefusedError, *UnavailableError, *MisconfiguredError, *OpenError; for e-mail over
// SMTP also *UncertainError; or ctx's own error if the caller gave up, and then the outcome is unknown. Each type
// documents what it means for the money.
func (c *Clients) Send(
	ctx context.Context, step orders.StepName, key string, body []byte,
) (Answer, error) {
	client, path, err := c.route(step)
	if err != nil {
		return Answer{}, err
	}
	if !visible(key) || len(body) == 0 {
		return Answer{}, fmt.Errorf("%s: a key and a body are needed", step)
	}
	if client == nil {
		return c.mailer.send(ctx, key, body)
	}
	return client.call(ctx, call{
		label: string(step), method: http.MethodPost, path: path, url: client.base.JoinPath(path), key: key, body: body,
		step: step, asked: key, sent: body, judge: judgeSend,
	})
}

// route returns the client of the step's provider and the path of the step there; the client is nil for a mail server.
func (c *Clients) route(step orders.StepName) (*client, string, error) {
	spec, ok := step.Spec()
	if !ok {
		return nil, "", fmt.Errorf("step %q is not in the saga", step)
	}
	return c.clients[spec.Provider], spec.Path, nil
}

// Ask asks the step's provider for the outcome of a key, which settles an unknown outcome. body is what was sent under
// the key, or nil if the caller does not know it. An answer about anything else than body is rejected as unclear.
//
// Errors: as Send's, but never *RefusedError: a refused operation is an answer.
func (c *Clients) Ask(ctx context.Context, step orders.StepName, key string, body []byte) (Answer, error) {
	client, _, err := c.route(step)
	if err != nil {
		return Answer{}, err
	}
	if !visible(key) {
		return Answer{}, fmt.Errorf("%s: a key is needed", step)
	}
	if client == nil {
		return Answer{State: orders.StateUnknown}, nil // a mail server cannot be asked
	}
	return client.call(ctx, call{
		label: "ask", method: http.MethodGet, path: "operations/{key}",
		url: client.base.JoinPath("operations", url.PathEscape(key)), step: step, asked: key, sent: body, judge: judgeAsk,
	})
}

// States returns the state of each provider's breaker: closed, half_open or open.
func (c *Clients) States() map[orders.Provider]string {
	states := make(map[orders.Provider]string, len(c.clients))
	for p, client := range c.clients {
		states[p] = client.breaker.state()
	}
	if c.mailer != nil {
		states[orders.Email] = c.mailer.breaker.state()
	}
	return states
}

// State returns the state of one provider's breaker: closed for an unknown provider.
func (c *Clients) State(p orders.Provider) string {
	if client, ok := c.clients[p]; ok {
		return client.breaker.state()
	}
	if p == orders.Email && c.mailer != nil {
		return c.mailer.breaker.state()
	}
	return Closed
}

// Close closes idle connections. Calls under way continue, and close their own at the end.
func (c *Clients) Close() {
	for _, client := range c.clients {
		if t, ok := client.transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// check parses the base URLs. Its errors name the provider but quote nothing: a URL or a token may hold a secret.
func (c *Config) check() (map[orders.Provider]*url.URL, error) {
	bases := map[orders.Provider]*url.URL{}
	var problems []error
	for _, p := range orders.Providers() {
		if p == orders.Email && c.SMTP != nil {
			if c.URLs[p] != "" {
				problems = append(problems, errors.New("email: there is both a URL and SMTP"))
			}
			continue
		}
		u, err := url.Parse(c.URLs[p])
		switch {
		case c.URLs[p] == "":
			problems = append(problems, fmt.Errorf("%s: no URL", p))
		case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
			problems = append(problems, fmt.Errorf("%s: the URL must be like https://host/path", p))
		case u.User != nil:
			problems = append(problems, fmt.Errorf("%s: the URL has credentials; set a token instead", p))
		case u.RawQuery != "" || u.Fragment != "":
			problems = append(problems, fmt.Errorf("%s: the URL has a query or a fragment", p))
		}
		if token := c.Tokens[p]; token != "" && !visible(token) {
			problems = append(problems, fmt.Errorf("%s: the token has characters that a header cannot carry", p))
		}
		if err == nil && u.Path == "" {
			u.Path = "/" // otherwise the paths that are joined to it would be relative
		}
		bases[p] = u
	}
	if c.Timeout < 0 || c.MaxConns < 0 {
		problems = append(problems, errors.New("the timeout and the number of connections must be positive"))
	}
	problems = append(problems, c.Breaker.check())
	return bases, errors.Join(problems...)
}

// visible reports whether s is non-empty printable ASCII without spaces: fit for a header, as all our keys are.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
