package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
)

// The settings, in groups that commands share. docs/configuration.md is the table of them.

type databaseFlags struct {
	DatabaseURL     string `env:"DATABASE_URL" secret:"" help:"Postgres: postgres://user:password@host/database."`
	DatabaseURLFile string `env:"DATABASE_URL_FILE" help:"File with that URL."`
}

type connectionFlags struct {
	APIConnections  int `env:"MILLRACE_API_CONNECTIONS" default:"20" help:"Database connections of the API."`
	WorkConnections int `env:"MILLRACE_WORK_CONNECTIONS" default:"20" help:"Database connections of the workers."`

	// CommitAlone is for lab/bench, which shows what sharing commits is worth.
	CommitAlone bool `hidden:"" help:"Give each write a transaction of its own."`
}

type apiFlags struct {
	APIAddr   string        `env:"MILLRACE_API_ADDR" default:"127.0.0.1:8080" help:"Where the API listens."`
	CacheSize int64         `env:"MILLRACE_CACHE_BYTES" name:"cache-bytes" default:"33554432" help:"Memory for cached orders."`
	CacheTTL  time.Duration `env:"MILLRACE_CACHE_TTL" name:"cache-ttl" default:"30s" help:"Longest life of a cached order."`

	RateWindow     time.Duration  `env:"MILLRACE_RATE_WINDOW" default:"1m" help:"The time in which --rate-limit requests may be sent."`
	TrustedProxies []netip.Prefix `env:"MILLRACE_TRUSTED_PROXIES" help:"Networks of proxies whose X-Forwarded-For is believed, as CIDR."`
	MaxInFlight    int            `env:"MILLRACE_MAX_IN_FLIGHT" default:"512" help:"Requests being answered at a time, without event streams."`

	MaxStreams     int      `env:"MILLRACE_MAX_STREAMS" default:"5000" help:"Event streams and waiting requests that are open at a time."`
	MaxStreamsEach int      `env:"MILLRACE_MAX_STREAMS_EACH" default:"20" help:"Event streams that one principal may have open; -1 for no limit."`
	AllowedOrigins []string `env:"MILLRACE_ALLOWED_ORIGINS" help:"Sites whose pages may use the API in a browser, as in https://shop.example."`
}

// rateFlags are not part of apiFlags, because dev limits nobody unless it is asked to.
type rateFlags struct {
	RateLimit int `env:"MILLRACE_RATE_LIMIT" default:"100" help:"Requests per customer, viewer or, without a credential, client address in --rate-window; 0 for no limit."`
	roleRateFlags
}

// roleRateFlags are the limits of roles. A shop's own backend is one key, and operators act for everybody.
type roleRateFlags struct {
	RateLimitCustomer *int `env:"MILLRACE_RATE_LIMIT_CUSTOMER" help:"The same per customer, instead of --rate-limit."`
	RateLimitViewer   *int `env:"MILLRACE_RATE_LIMIT_VIEWER" help:"The same per viewer, instead of --rate-limit."`
	RateLimitService  int  `env:"MILLRACE_RATE_LIMIT_SERVICE" default:"0" help:"The same per service."`
	RateLimitOperator int  `env:"MILLRACE_RATE_LIMIT_OPERATOR" default:"0" help:"The same per operator."`
	RateLimitAdmin    int  `env:"MILLRACE_RATE_LIMIT_ADMIN" default:"0" help:"The same per admin."`
}

// rateLimits are the limits of an API: of each role that has one of its own, and of all others.
type rateLimits struct {
	base  int
	roles map[roles.Role]int
}

func (f roleRateFlags) limits(base int) rateLimits {
	limits := rateLimits{base, map[roles.Role]int{
		roles.Service: f.RateLimitService, roles.Operator: f.RateLimitOperator, roles.Admin: f.RateLimitAdmin,
	}}
	for role, limit := range map[roles.Role]*int{roles.Customer: f.RateLimitCustomer, roles.Viewer: f.RateLimitViewer} {
		if limit != nil {
			limits.roles[role] = *limit
		}
	}
	return limits
}

func (l rateLimits) check() error {
	var problems []error
	if l.base < 0 {
		problems = append(problems, errors.New("--rate-limit must be at least 0"))
	}
	for _, role := range roles.All() {
		if l.roles[role] < 0 {
			problems = append(problems, fmt.Errorf("--rate-limit-%s must be at least 0", role))
		}
	}
	return errors.Join(problems...)
}

// none reports whether nothing is limited.
func (l rateLimits) none() bool {
	for _, limit := range l.roles {
		if limit > 0 {
			return false
		}
	}
	return l.base == 0
}

type workFlags struct {
	Workers    int           `env:"MILLRACE_WORKERS" default:"200" help:"Steps that run at a time, per provider."`
	SweepEvery time.Duration `env:"MILLRACE_SWEEP_EVERY" default:"15s" help:"How often stranded steps are looked for."`

	VerifyEvery time.Duration `env:"MILLRACE_VERIFY_EVERY" default:"1m" help:"How often the invariants are verified; 0 for never."`
	KeepEvents  time.Duration `env:"MILLRACE_KEEP_EVENTS" default:"2160h" help:"For how long the log of events is kept at least."`

	KeepCompletedJobs time.Duration `env:"MILLRACE_KEEP_COMPLETED_JOBS" default:"1h" help:"For how long jobs that have succeeded are kept."`
	KeepFailedJobs    time.Duration `env:"MILLRACE_KEEP_FAILED_JOBS" default:"168h" help:"For how long jobs that were cancelled or discarded are kept."`

	ReconcileEvery  time.Duration `env:"MILLRACE_RECONCILE_EVERY" default:"5m" help:"How often the providers' records are compared with the orders; 0 for never."`
	ReconcileRepair bool          `env:"MILLRACE_RECONCILE_REPAIR" default:"true" negatable:"" help:"Repair what a documented rule allows when they are compared."`

	WebhookWorkers  int           `env:"MILLRACE_WEBHOOK_WORKERS" default:"20" help:"Webhooks that are sent to at a time, and as many that are failing."`
	WebhookParallel int           `env:"MILLRACE_WEBHOOK_PARALLEL" default:"2" help:"Messages that are being sent to one webhook at a time."`
	KeepDeliveries  time.Duration `env:"MILLRACE_KEEP_DELIVERIES" default:"720h" help:"How long finished deliveries of webhooks are kept."`

	InventorySyncEvery time.Duration `env:"MILLRACE_INVENTORY_SYNC_EVERY" default:"1m" help:"How often the inventory provider is asked for its stock; 0 for never."`
}

// webhookFlags are for the API, which checks addresses, and for the workers, which check where they lead.
type webhookFlags struct {
	WebhookNetworks []netip.Prefix `env:"MILLRACE_WEBHOOK_NETWORKS" help:"Networks that are not public where webhooks may lead nevertheless, as CIDR; to any port, and by http."`
}

func (f webhookFlags) policy() webhook.Policy { return webhook.Policy{Networks: f.WebhookNetworks} }

type opsFlags struct {
	OpsAddr string `env:"MILLRACE_OPS_ADDR" default:"127.0.0.1:8081" help:"Where River UI, metrics and profiles listen."`
}

type providerFlags struct {
	PaymentURL         string        `env:"MILLRACE_PAYMENT_URL" help:"Base URL of the payment provider."`
	InventoryURL       string        `env:"MILLRACE_INVENTORY_URL" help:"Base URL of the inventory provider."`
	ShippingURL        string        `env:"MILLRACE_SHIPPING_URL" help:"Base URL of the shipping provider."`
	EmailURL           string        `env:"MILLRACE_EMAIL_URL" help:"Base URL of the e-mail provider; or use --smtp-url."`
	PaymentToken       string        `env:"MILLRACE_PAYMENT_TOKEN" secret:"" help:"Bearer token for the payment provider."`
	PaymentTokenFile   string        `env:"MILLRACE_PAYMENT_TOKEN_FILE" help:"File with that token."`
	InventoryToken     string        `env:"MILLRACE_INVENTORY_TOKEN" secret:"" help:"Bearer token for the inventory provider."`
	InventoryTokenFile string        `env:"MILLRACE_INVENTORY_TOKEN_FILE" help:"File with that token."`
	ShippingToken      string        `env:"MILLRACE_SHIPPING_TOKEN" secret:"" help:"Bearer token for the shipping provider."`
	ShippingTokenFile  string        `env:"MILLRACE_SHIPPING_TOKEN_FILE" help:"File with that token."`
	EmailToken         string        `env:"MILLRACE_EMAIL_TOKEN" secret:"" help:"Bearer token for the e-mail provider."`
	EmailTokenFile     string        `env:"MILLRACE_EMAIL_TOKEN_FILE" help:"File with that token."`
	CallTimeout        time.Duration `env:"MILLRACE_CALL_TIMEOUT" default:"10s" help:"Longest call to a provider, at most 12s."`
	BreakerFailures    uint32        `env:"MILLRACE_BREAKER_FAILURES" default:"5" help:"Failures in a row that open a breaker."`
	BreakerOpen        time.Duration `env:"MILLRACE_BREAKER_OPEN" default:"30s" help:"How long a breaker stays open."`
	smtpFlags
}

// longestCall leaves a job (30 s) room for asking and sending.
const longestCall = 12 * time.Second

func (f providerFlags) config() upstream.Config {
	c := upstream.Config{
		URLs: map[orders.Provider]string{
			orders.Payment: f.PaymentURL, orders.Inventory: f.InventoryURL,
			orders.Shipping: f.ShippingURL, orders.Email: f.EmailURL,
		},
		Tokens:  map[orders.Provider]string{},
		Timeout: f.CallTimeout,
		Breaker: upstream.Breaker{Consecutive: f.BreakerFailures, OpenFor: f.BreakerOpen},
	}
	for provider, token := range map[orders.Provider]string{
		orders.Payment: f.PaymentToken, orders.Inventory: f.InventoryToken,
		orders.Shipping: f.ShippingToken, orders.Email: f.EmailToken,
	} {
		if token != "" {
			c.Tokens[provider] = token
		}
	}
	if f.SMTPURL != "" {
		c.SMTP = f.smtpFlags.config()
	}
	return c
}

func (f providerFlags) check() error {
	config := f.config()
	var missing []error
	for _, provider := range orders.Providers() {
		if config.URLs[provider] == "" && (provider != orders.Email || config.SMTP == nil) {
			missing = append(missing, fmt.Errorf("--%s-url or MILLRACE_%s_URL is needed", provider,
				strings.ToUpper(string(provider))))
		}
	}
	err := errors.Join(missing...)
	if err == nil {
		_, err = upstream.New(config) // finds all bad URLs, and connects to nothing
	}
	if f.CallTimeout <= 0 || f.CallTimeout > longestCall {
		err = errors.Join(err, fmt.Errorf("--call-timeout must be above 0 and at most %s", longestCall))
	}
	return err
}

func (f apiFlags) check(limits rateLimits) error {
	problems := []error{limits.check()}
	if f.RateWindow < time.Second || f.RateWindow > time.Hour {
		problems = append(problems, errors.New("--rate-window must be from 1s to 1h"))
	}
	if f.MaxInFlight < 1 {
		problems = append(problems, errors.New("--max-in-flight must be at least 1"))
	}
	if f.MaxStreams < 1 || f.MaxStreamsEach == 0 {
		problems = append(problems, errors.New("--max-streams must be at least 1, --max-streams-each must not be 0"))
	}
	for _, origin := range f.AllowedOrigins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin ||
			strings.Contains(origin, "*") {
			problems = append(problems, fmt.Errorf("--allowed-origins: %q is not like https://shop.example", origin))
		}
	}
	return errors.Join(problems...)
}

func (f databaseFlags) check() error {
	if f.DatabaseURL == "" {
		return errors.New("DATABASE_URL, --database-url or --database-url-file is needed")
	}
	return store.CheckDatabaseURL(f.DatabaseURL)
}

// source is the URL or, where it was read from one, the file, which is read again for every connection.
func (f databaseFlags) source() string {
	if content, err := readSecret(f.DatabaseURLFile); err == nil && content == f.DatabaseURL {
		return store.URLFile(f.DatabaseURLFile)
	}
	return f.DatabaseURL
}

func (f workFlags) check() error {
	var problems []error
	if f.WebhookWorkers < 1 || f.WebhookParallel < 1 || f.KeepDeliveries < time.Hour {
		problems = append(problems, errors.New(
			"--webhook-workers and --webhook-parallel must be at least 1, --keep-deliveries at least 1h"))
	}
	if f.Workers < 1 || f.SweepEvery < time.Second {
		problems = append(problems, errors.New("--workers must be at least 1, --sweep-every at least 1s"))
	}
	if f.KeepCompletedJobs < time.Minute || f.KeepFailedJobs < time.Minute {
		problems = append(problems, errors.New("--keep-completed-jobs and --keep-failed-jobs must be at least 1m"))
	}
	if f.KeepEvents < 24*time.Hour {
		problems = append(problems, errors.New("--keep-events must be at least 24h"))
	}
	for _, every := range []struct {
		flag  string
		value time.Duration
	}{
		{"--verify-every", f.VerifyEvery},
		{"--reconcile-every", f.ReconcileEvery},
		{"--inventory-sync-every", f.InventorySyncEvery},
	} {
		if every.value != 0 && every.value < time.Second {
			problems = append(problems, fmt.Errorf("%s must be at least 1s, or 0", every.flag))
		}
	}
	return errors.Join(problems...)
}

func (f connectionFlags) check() error {
	if f.APIConnections < 1 || f.WorkConnections < 2 {
		return errors.New("--api-connections must be at least 1, --work-connections at least 2")
	}
	return nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
