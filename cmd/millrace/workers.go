package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/millrace-orders/millrace/archive"
	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
)

// startJobs starts the workers. A process without workers still gets a client, for River UI.
func (n *node) startJobs(
	ctx context.Context, bell *store.Doorbell, feed *store.Feed, feedPool *pgxpool.Pool,
) (*river.Client[pgx.Tx], error) {
	if n.config.work == nil {
		pool, err := n.pool(ctx, "ops", opsConnections)
		if err != nil {
			return nil, err
		}
		client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: store.Schema, Logger: n.logger})
		if err != nil {
			return nil, err
		}
		n.opsPool = pool
		looking, err := store.New(store.Config{DB: feedPool, Now: n.clock.Now, Wall: time.Now})
		if err != nil {
			return nil, err
		}
		n.present(looking, client.ID())
		return client, nil
	}
	pool, err := n.pool(ctx, "work", n.config.connections.WorkConnections)
	if err != nil {
		return nil, err
	}
	n.opsPool = pool
	s, err := store.New(store.Config{
		DB: pool, Now: n.clock.Now, Wall: time.Now, Doorbell: bell, Recent: n.recent, Registerer: n.part("work"),
		Alone: n.config.connections.CommitAlone, Holds: n.holds,
		MailsOperator: n.config.providers.OperatorEmail != "",
	})
	if err != nil {
		return nil, err
	}
	providers := n.config.providers.config()
	providers.Logger, providers.Registerer = n.logger, n.registry
	providers.MaxConns = n.config.work.Workers // a wait for a connection would count as a failure of the provider
	if providers.SMTP != nil {
		providers.SMTP.HandOver, providers.SMTP.TakeBack = s.Notifications.HandOver, s.Notifications.TakeBack
	}
	clients, err := upstream.New(providers)
	if err != nil {
		return nil, err
	}
	n.onStop(clients.Close)
	n.onReload(func(c nodeConfig) error { return clients.Rotate(c.providers.config().Tokens, c.providers.SMTPPassword) })
	n.breakers = func() map[string]string {
		states := map[string]string{}
		for provider, state := range clients.States() {
			states[string(provider)] = state
		}
		return states
	}
	recovering, err := store.New(store.Config{
		DB: feedPool, Now: n.clock.Now, Wall: time.Now, Doorbell: bell, Holds: n.holds,
		VerifyEvery: n.config.work.VerifyEvery, SweepEvery: n.config.work.SweepEvery,
	})
	if err != nil {
		return nil, err
	}
	recovery := jobs.NewRecovery(recovering, clients, n.logger, n.registry)
	n.running, n.silence, n.lanes = recovery.Running, recovery.Silence, clients.Lanes
	owns, err := s.Queues.OwnsJobs(ctx)
	if err != nil {
		return nil, err
	}
	sender := webhook.NewSender(webhook.Config{Policy: n.config.webhooks.policy(), Now: n.clock.Now})
	n.onStop(sender.Close)
	client, err := jobs.NewClient(jobs.Config{
		Pool: pool, Listen: n.listening, PollOnly: n.polls, Store: s, Doorbell: bell, Providers: clients, Recovery: recovery,
		Clock: n.clock, KeepIndexes: !owns,
		Workers: n.config.work.Workers, SweepEvery: n.config.work.SweepEvery,
		VerifyEvery: n.config.work.VerifyEvery, ReconcileEvery: n.config.work.ReconcileEvery,
		ReconcileGrace:     n.config.work.ReconcileGrace,
		ReconcileRepair:    n.config.work.ReconcileRepair,
		SyncInventoryEvery: n.config.work.InventorySyncEvery, KeepEvents: n.config.work.KeepEvents,
		KeepCompletedJobs: n.config.work.KeepCompletedJobs, KeepFailedJobs: n.config.work.KeepFailedJobs,
		Archive: n.archiver(s),
		Webhooks: &jobs.Webhooks{
			Sender: sender, Workers: n.config.work.WebhookWorkers, Parallel: n.config.work.WebhookParallel,
			Keep: n.config.work.KeepDeliveries,
		},
		Logger: n.logger, Tracer: n.tracer, Registerer: n.registry,
	})
	if err != nil {
		return nil, err
	}
	n.queried.MustRegister(jobs.NewQueueCollector(s, n.logger), jobs.NewVerifyCollector(s, n.logger),
		jobs.NewServerCollector(s, client.ID(), time.Now, n.logger))
	n.background(recovery.Run) // the process counts as alive until its last step ends
	n.present(recovering, client.ID())
	fanOut := jobs.NewFanOut(s.Deliveries, n.logger, n.registry)
	feed.Subscribe(func([]store.Entry) { fanOut.Wake() })
	sampler := jobs.NewSampler(s.History, client.ID(), n.clock.Now, n.logger)
	feed.Subscribe(sampler.Hear)
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start workers: %w", err)
	}
	stop := sync.OnceFunc(func() {
		if err := client.Stop(context.Background()); err != nil {
			n.logger.Warn("workers stopped with an error", "error", err)
		}
	})
	n.leave = append(n.leave, func() { go stop() }) // it fetches nothing more, and waits for running jobs
	n.onStop(stop)
	n.background(fanOut.Run)
	n.background(sampler.Run)
	n.background(jobs.NewLookout(s.Notices, client.ID(), n.logger).Run)
	return client.Client, nil
}

// archiver returns what moves old orders into files; nil if orders are kept for ever.
func (n *node) archiver(s *store.Store) *archive.Archiver {
	if n.config.work.KeepOrders == 0 {
		return nil
	}
	return archive.New(archive.Config{
		Store: s, Dir: n.config.work.ArchiveDir, Keep: n.config.work.KeepOrders, Now: n.clock.Now, Logger: n.logger,
		Registerer: n.registry,
	})
}
