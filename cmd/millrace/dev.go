package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store"
)

// devCommand runs everything on one machine, without any setup. It is open to this machine until the first key is made.
type devCommand struct {
	DatabaseURL     string `env:"DATABASE_URL" secret:"" kind:"database" help:"Use this Postgres instead of a private one."`
	DatabaseURLFile string `env:"DATABASE_URL_FILE" help:"Read that URL from a file."`
	Data            string `env:"MILLRACE_DATA" default:"${default_data}" help:"Directory where the data is kept between runs." type:"path"`
	Reset           bool   `help:"Wipe the data first."`
	PostgresBin     string `env:"MILLRACE_PG_BIN" help:"Directory of the Postgres server's programs, instead of looking for them." type:"path"`
	SimulatorAddr   string `env:"MILLRACE_SIMULATOR_ADDR" default:"127.0.0.1:8082" kind:"address" help:"Address on which the simulators listen."`

	apiFlags        `group:"API"`
	RateLimit       int `env:"MILLRACE_RATE_LIMIT" group:"Limits" default:"0" min:"0" help:"Requests of one client address in --rate-window; 0 for no limit."`
	roleRateFlags   `group:"Limits"`
	opsFlags        `group:"Operations"`
	connectionFlags `group:"Database"`
	workFlags       `group:"Workers"`
	webhookFlags    `group:"Webhooks"`
	LogLevel        slog.Level `env:"MILLRACE_LOG_LEVEL" group:"Logs" default:"WARN" help:"Least severe level that is logged: DEBUG, INFO, WARN or ERROR."`
}

// Validate keeps everything on loopback: until the first key is made, no request needs credentials.
func (c *devCommand) Validate() error {
	problems := []error{c.check()}
	for _, address := range []string{c.APIAddr, c.OpsAddr, c.SimulatorAddr} {
		if !isLoopback(address) {
			problems = append(problems, fmt.Errorf("dev listens on loopback only, not on %s: use serve", address))
		}
	}
	if c.Reset && c.DatabaseURL != "" {
		problems = append(problems, errors.New("--reset wipes dev's own data, not the database of DATABASE_URL"))
	}
	return errors.Join(problems...)
}

// startTimeout bounds the start of the private Postgres, which may have to be downloaded first.
const startTimeout = 5 * time.Minute

// Run runs everything until the process is told to stop.
func (c *devCommand) Run(p *process) (err error) {
	c.WebhookNetworks = append(c.WebhookNetworks, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	log := logFlags{LogLevel: c.LogLevel, LogFormat: "text"}
	logger := log.logger(p.stderr)
	progress := logFlags{LogLevel: min(c.LogLevel, slog.LevelInfo), LogFormat: "text"}.logger(p.stderr)
	data, err := openData(p.ctx, c.Data, progress)
	if err != nil {
		return err
	}
	cluster, ledger := filepath.Join(data, clusterHome), filepath.Join(data, "simulator.ledger")
	if c.Reset {
		if err := errors.Join(postgres.Reset(cluster), removeIfThere(ledger)); err != nil {
			return err
		}
	}
	sim, err := startSimulators(p.ctx, simulatorConfig{addr: c.SimulatorAddr, ledger: ledger, seed: 1}, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.stop()) }()

	if c.DatabaseURL == "" {
		server, url, err := startPostgres(p.ctx, cluster, c.PostgresBin, progress)
		if err != nil {
			return err
		}
		defer func() { _ = server.Stop(context.Background()) }()
		c.DatabaseURL = url
	}
	if err := migrate(p.ctx, c.DatabaseURL, logger); err != nil {
		return err
	}

	return runNode(p, nodeConfig{
		database: databaseFlags{DatabaseURL: c.DatabaseURL}, connections: c.connectionFlags,
		api: &c.apiFlags, limits: c.limits(c.RateLimit), work: &c.workFlags, ops: c.opsFlags, dev: true, log: log,
		webhooks: c.webhookFlags, progress: progress,
		providers: providerFlags{
			PaymentURL: sim.url(orders.Payment), InventoryURL: sim.url(orders.Inventory),
			ShippingURL: sim.url(orders.Shipping), EmailURL: sim.url(orders.Email),
		},
	}, func(addrs map[string]string) error {
		_, err := fmt.Fprintf(p.stdout, `API          http://%[1]s/api/orders
Reference    http://%[1]s/docs/
Board        http://%[2]s/board/
River UI     http://%[2]s/riverui/
Metrics      http://%[2]s/metrics
Simulators   http://%[3]s/ledger
`, addrs["api"], addrs["ops"], sim.addr)
		return err
	})
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func startPostgres(ctx context.Context, dir, bin string, logger *slog.Logger) (*postgres.Server, string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Config{
		Dir: dir, Bin: bin, Fetch: true, Cache: postgres.DefaultDir("millrace-postgres"), Logger: logger,
	})
	if err != nil {
		return nil, "", fmt.Errorf("start Postgres: %w", err)
	}
	if err := createDatabase(ctx, server.DSN("postgres")); err != nil {
		_ = server.Stop(context.Background())
		return nil, "", fmt.Errorf("create database: %w", err)
	}
	return server, server.DSN("millrace"), nil
}

func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var exists bool
	const there = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'millrace')"
	if err := conn.QueryRow(ctx, there).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE millrace")
	return err
}

func migrate(ctx context.Context, url string, logger *slog.Logger) error {
	pool, err := store.NewMigrationPool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return store.Migrate(ctx, pool, logger)
}
