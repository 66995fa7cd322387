package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

// The settings are in groups that commands share. docs/configuration.md has their table. The tags kind, min, max and or
// define what a flag accepts (kind.go). A rejected value is reported by itself, so check has only the rules between
// flags.

type databaseFlags struct {
	DatabaseURL     string `env:"DATABASE_URL" secret:"" kind:"database" help:"Postgres, as in postgres://user:password@host/database."`
	DatabaseURLFile string `env:"DATABASE_URL_FILE" help:"Read that URL from a file."`
}

func (f databaseFlags) check() error {
	if f.DatabaseURL == "" {
		return errors.New("the database is missing: set DATABASE_URL, --database-url or --database-url-file")
	}
	return store.CheckDatabaseURL(f.DatabaseURL)
}

// source returns the URL or, if the URL was read from a file, the file's name. Every connection reads the file again.
func (f databaseFlags) source() string {
	if content, err := readSecret(f.DatabaseURLFile); err == nil && content == f.DatabaseURL {
		return store.URLFile(f.DatabaseURLFile)
	}
	return f.DatabaseURL
}

// listenFlags name Postgres itself, for a database URL that leads to a pooler.
type listenFlags struct {
	ListenURL     string `env:"MILLRACE_LISTEN_URL" secret:"" kind:"database" help:"Postgres itself, if the database URL leads to a pooler: for notifications and migrations."`
	ListenURLFile string `env:"MILLRACE_LISTEN_URL_FILE" help:"Read that URL from a file."`
}

func (f listenFlags) check() error {
	if f.ListenURL == "" {
		return nil
	}
	if err := store.CheckDirectURL(f.ListenURL); err != nil {
		return fmt.Errorf("--listen-url: %w", err)
	}
	return nil
}

// source returns the URL or, if the URL was read from a file, the file's name.
func (f listenFlags) source() string {
	return databaseFlags{DatabaseURL: f.ListenURL, DatabaseURLFile: f.ListenURLFile}.source()
}

type connectionFlags struct {
	APIConnections  int `env:"MILLRACE_API_CONNECTIONS" default:"20" min:"1" help:"Database connections of the API."`
	WorkConnections int `env:"MILLRACE_WORK_CONNECTIONS" default:"20" min:"2" help:"Database connections of the workers."`

	// CommitAlone is for lab/bench, which measures the benefit of shared commits.
	CommitAlone bool `hidden:"" help:"Give each write a transaction of its own."`
}

type apiFlags struct {
	APIAddr        string        `env:"MILLRACE_API_ADDR" default:"127.0.0.1:8080" kind:"address" help:"Address on which the API listens."`
	AllowedOrigins []string      `env:"MILLRACE_ALLOWED_ORIGINS" kind:"origin" help:"Sites whose pages may call the API from a browser (CORS)."`
	CacheSize      size          `env:"MILLRACE_CACHE_BYTES" name:"cache-bytes" default:"32MiB" min:"1" help:"Memory for cached orders."`
	CacheTTL       time.Duration `env:"MILLRACE_CACHE_TTL" name:"cache-ttl" default:"30s" min:"1ms" help:"Longest life of a cached order."`

	RateWindow     time.Duration  `env:"MILLRACE_RATE_WINDOW" group:"Limits" default:"1m" min:"1s" max:"1h" help:"Window in which --rate-limit requests may be sent."`
	TrustedProxies []netip.Prefix `env:"MILLRACE_TRUSTED_PROXIES" group:"Limits" help:"Networks of your proxies. X-Forwarded-For counts only if it comes from them."`
	MaxInFlight    int            `env:"MILLRACE_MAX_IN_FLIGHT" group:"Limits" default:"512" min:"1" help:"Requests that one process answers at the same time, without event streams."`
	MaxStreams     int            `env:"MILLRACE_MAX_STREAMS" group:"Limits" default:"5000" min:"1" help:"Event streams and waiting requests that one process has open at the same time."`
	MaxStreamsEach int            `env:"MILLRACE_MAX_STREAMS_EACH" group:"Limits" default:"20" min:"1" or:"-1" help:"Event streams that one principal may have open in one process; -1 for no limit."`
}

// webhookFlags are for the API, which checks URLs, and for the workers, which check the resolved addresses.
type webhookFlags struct {
	WebhookNetworks []netip.Prefix `env:"MILLRACE_WEBHOOK_NETWORKS" help:"Private networks that webhooks may reach, on any port and over plain http."`
}

func (f webhookFlags) policy() webhook.Policy { return webhook.Policy{Networks: f.WebhookNetworks} }

type opsFlags struct {
	OpsAddr    string        `env:"MILLRACE_OPS_ADDR" default:"127.0.0.1:8081" kind:"address" help:"Address on which River UI, metrics and profiles listen."`
	DrainDelay time.Duration `env:"MILLRACE_DRAIN_DELAY" default:"0s" min:"0s" max:"5m" help:"Time that a process with an API goes on answering after SIGTERM, so that balancers notice that it is not ready."`
}

// logFlags choose the level and the format of the log.
type logFlags struct {
	LogLevel  slog.Level `env:"MILLRACE_LOG_LEVEL" default:"INFO" help:"Least severe level that is logged: DEBUG, INFO, WARN or ERROR."`
	LogFormat string     `env:"MILLRACE_LOG_FORMAT" default:"auto" enum:"auto,json,text" help:"Format of the log. auto is text on a terminal and json elsewhere."`
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
