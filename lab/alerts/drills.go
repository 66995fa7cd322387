package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// How long Millrace needs to notice a cause.
const (
	silence       = 10 * time.Second // a process without a sign of life counts as silent
	feedBehind    = 11 * time.Second // a feed is behind after 10 s, and reads once a second
	slowMinute    = 16 * time.Second // a seventh of a minute's placements were slow, where every second one is
	noLeader      = 33 * time.Second // none has led for 30 s, which a heartbeat notices; there is one every 3 s
	boardPatience = 5 * time.Second  // a read of the board is given up
)

func nothing(context.Context, *lab) error { return nil }

// drills are in the order in which they disturb each other least.
func drills() []drill { return slices.Concat(usualDrills(), rareDrills()) }

func usualDrills() []drill {
	return []drill{
		{
			name: "down", cause: "the API's process is killed", alerts: []string{"MillraceDown"},
			inject: func(_ context.Context, l *lab) error { l.api.Kill(); return nil },
			undo: func(ctx context.Context, l *lab) error {
				return errors.Join(l.begin(ctx, l.api), l.forget(ctx))
			},
			notices: silence,
		},
		{
			name: "workers", cause: "the only process with workers stops", alerts: []string{"MillraceNoWorkers"},
			inject: func(_ context.Context, l *lab) error { return l.work.Stop(syscall.SIGTERM, patience) },
			undo:   func(ctx context.Context, l *lab) error { return l.begin(ctx, l.work) },
		},
		{
			name: "lost", cause: "a second process with workers is killed", alerts: []string{"MillraceInstanceLost"},
			inject: func(ctx context.Context, l *lab) error {
				n, err := l.add(ctx, l.binary, "work", l.workArgs()...)
				if err != nil {
					return err
				}
				return l.remove(n, syscall.SIGKILL)
			},
			undo:    func(ctx context.Context, l *lab) error { return l.forget(ctx) },
			passed:  true,
			notices: silence,
		},
		{
			name: "refused", cause: "the database refuses every order, as with a full disk",
			alerts: []string{"MillraceWritesRefused", "MillraceDatabaseRefuses"},
			inject: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, `CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
					$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`,
					"CREATE TRIGGER refuse BEFORE INSERT ON millrace.orders FOR EACH ROW EXECUTE FUNCTION public.refuse()")
			},
			undo: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "DROP FUNCTION public.refuse() CASCADE")
			},
		},
		{
			name: "slow", cause: "a session locks the orders", alerts: []string{"MillraceDatabaseSlow"},
			inject: func(ctx context.Context, l *lab) error { return l.hold(ctx, "LOCK TABLE millrace.orders") },
			undo:   nothing, notices: boardPatience,
		},
		{
			name: "violated", cause: "the audit log's guard is disabled", alerts: []string{"MillraceInvariantViolated"},
			inject: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "ALTER TABLE millrace.audit_log DISABLE TRIGGER USER")
			},
			undo: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "ALTER TABLE millrace.audit_log ENABLE TRIGGER USER")
			},
		},
		{
			name: "leader", cause: "the lead is held by a process that does not live",
			alerts: []string{"MillraceNoLeader", "MillraceVerificationStale"},
			inject: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "UPDATE millrace.river_leader SET leader_id = 'ghost', expires_at = now() + interval '1 hour'")
			},
			undo:    func(ctx context.Context, l *lab) error { return l.sql(ctx, "DELETE FROM millrace.river_leader") },
			shows:   map[string]string{"MillraceVerificationStale": "MillraceNoLeader"},
			notices: noLeader,
		},
		{
			name: "attention", cause: "reservations are refused, and then the undoing of the payment",
			alerts: []string{"MillraceOrderNeedsAttention", "MillraceProviderRefuses"},
			inject: func(ctx context.Context, l *lab) error {
				return l.setFaults(ctx, faults{
					"inventory": {"refuseRate": 1.0, "operations": []string{"reserve"}},
					"payment":   {"refuseRate": 1.0, "operations": []string{"void"}},
				})
			},
			undo: redrive,
		},
		{
			name: "wrong", cause: "a process with workers has a wrong URL of the payment provider",
			alerts: []string{"MillraceProviderMisconfigured"},
			inject: func(ctx context.Context, l *lab) error {
				args := l.workArgs()
				args[1] = "http://" + launch.Address(l.simPort) + "/nowhere"
				return l.addExtra(ctx, l.binary, "work", args...)
			},
			undo: removeExtra,
		},
		{
			name: "paused", cause: "the queues of the payment provider and of webhooks are paused",
			alerts: []string{"MillraceQueueBehind", "MillraceWebhooksBehind"},
			inject: func(ctx context.Context, l *lab) error {
				return errors.Join(l.register(ctx, l.hooks.url), launch.Pause(ctx, 2*time.Second),
					l.pause(ctx, "payment", true), l.pause(ctx, "webhooks", true))
			},
			undo: func(ctx context.Context, l *lab) error {
				return errors.Join(l.pause(ctx, "payment", false), l.pause(ctx, "webhooks", false))
			},
		},
		{
			name: "overload", cause: "many requests at once at a process that takes one at a time",
			alerts: []string{"MillraceOverloaded"}, inject: overload, undo: removeExtra,
		},
		{
			name: "finding", cause: "the payment provider has an authorisation of an unknown order",
			alerts: []string{"MillraceReconcileFindings"},
			inject: func(ctx context.Context, l *lab) error {
				order := uuid.NewString()
				body := newOrder("card_visa")
				delete(body, "items")
				body["orderId"], body["amount"] = order, 12.5
				return l.ask(ctx, http.MethodPost, "http://"+launch.Address(l.simPort)+"/payments/authorizations", body, nil,
					"Idempotency-Key", order+":stranger:1")
			},
			undo: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "UPDATE millrace.reconciliation_findings SET state = 'accepted' WHERE state = 'open'")
			},
		},
		{
			name: "mail", cause: "the e-mail provider refuses every message", alerts: []string{"MillraceMailFailing"},
			inject: func(ctx context.Context, l *lab) error {
				return l.setFaults(ctx, faults{"email": {"refuseRate": 1.0}})
			},
			undo: heal,
		},
		{
			name: "hooks", cause: "a receiver answers 410, and another is at an address that workers must not reach",
			alerts: []string{"MillraceWebhookDisabled", "MillraceWebhooksGivenUp"},
			inject: func(ctx context.Context, l *lab) error {
				return errors.Join(l.register(ctx, l.hooks.url+"/gone"),
					l.register(ctx, strings.Replace(l.hooks.url, "127.0.0.1", "127.0.0.2", 1)))
			},
			undo:   unregister,
			passed: true,
		},
		{
			name: "events", cause: "the fan-out's cursor is of another history", alerts: []string{"MillraceWebhookEventsLost"},
			inject: func(ctx context.Context, l *lab) error {
				if err := l.register(ctx, l.hooks.url); err != nil {
					return err
				}
				return l.sql(ctx, "UPDATE millrace.feed_cursors SET epoch = epoch - 1 WHERE name = 'webhooks'")
			},
			undo:   unregister,
			passed: true,
		},
		{
			name: "connections", cause: "another program takes most connections",
			alerts: []string{"MillracePostgresConnections"},
			inject: crowd, undo: nothing,
		},
		{
			name: "partition", cause: "the partition of next week is dropped",
			alerts: []string{"MillraceLogPartitionsMissing"},
			inject: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, `DO $$ BEGIN
					EXECUTE (SELECT 'DROP TABLE millrace.' || name FROM millrace.log_partitions() WHERE starts > now());
				END $$`)
			},
			undo: func(ctx context.Context, l *lab) error {
				var err error
				launch.Eventually(ctx, time.Minute, func() bool { // it gives way to writers that hold the log for 200 ms
					err = l.sql(ctx, `SELECT millrace.log_partition_create(
						(date_trunc('week', now() AT TIME ZONE 'UTC') + interval '7 days') AT TIME ZONE 'UTC')`)
					return err == nil
				})
				return err
			},
		},
		{
			name: "sync", cause: "commits wait for a standby that is not there", alerts: []string{"MillraceStandbyMissing"},
			inject: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "ALTER SYSTEM SET synchronous_standby_names = 'missing'", "SELECT pg_reload_conf()")
			},
			undo: func(ctx context.Context, l *lab) error {
				return l.sql(ctx, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
			},
		},
		{
			name: "lag", cause: "a standby does not replay, and 320 MB are written",
			alerts: []string{"MillraceReplicationLag"},
			inject: lag, undo: nothing,
		},
		{
			name: "versions", cause: "a process of another version runs", alerts: []string{"MillraceVersionsMixed"},
			inject: func(ctx context.Context, l *lab) error { return l.addExtra(ctx, l.other, "api") },
			undo:   removeExtra,
		},
		{
			name: "provider", cause: "the payment provider is down for 100 s",
			alerts: []string{"MillraceBreakerOpen", "MillraceOrdersStuck", "MillraceCompletionFast", "MillraceCompletionSlow"},
			inject: func(ctx context.Context, l *lab) error {
				return errors.Join(l.setFaults(ctx, faults{"payment": {"down": true}}), launch.Pause(ctx, 100*time.Second),
					l.setFaults(ctx, nil))
			},
			undo:   nothing,
			passed: true,
			shows: map[string]string{
				"MillraceOrdersStuck": "MillraceBreakerOpen", "MillraceCompletionFast": "MillraceBreakerOpen",
				"MillraceCompletionSlow": "MillraceBreakerOpen",
			},
		},
		{
			name: "feed", cause: "a transaction that has written stays open until the feed is 10 s behind",
			alerts: []string{
				"MillraceFeedBehind", "MillracePostgresOldTransaction", "MillraceFreshnessFast", "MillraceFreshnessSlow",
			},
			inject: func(ctx context.Context, l *lab) error {
				err := l.hold(ctx, "SELECT pg_current_xact_id()")
				if err == nil {
					err = l.awaitFired(ctx, "MillraceFeedBehind", "MillracePostgresOldTransaction")
				}
				for _, end := range l.end { // only then events are heard of, late
					end()
				}
				l.end = nil
				return err
			},
			undo:   nothing,
			passed: true, notices: feedBehind,
			shows: map[string]string{
				"MillracePostgresOldTransaction": "MillraceFeedBehind", "MillraceFreshnessFast": "MillraceFeedBehind",
				"MillraceFreshnessSlow": "MillraceFeedBehind",
			},
		},
		{
			name: "latency", cause: "the orders are locked for 0.6 s, again and again",
			alerts: []string{"MillraceIntakeLatencyFast", "MillraceIntakeLatencySlow"},
			inject: func(ctx context.Context, l *lab) error {
				const lock = "DO $$ BEGIN LOCK TABLE millrace.orders IN SHARE MODE; PERFORM pg_sleep(0.6); END $$"
				for range 30 {
					if err := l.sql(ctx, lock); err != nil {
						return err
					}
				}
				return nil
			},
			undo:   nothing,
			passed: true,
			shows:  map[string]string{"MillraceIntakeLatencySlow": "MillraceIntakeLatencyFast"}, notices: slowMinute,
		},
		{
			name: "database", cause: "Postgres is killed",
			alerts: []string{"MillraceDatabaseUnavailable", "MillraceIntakeErrorsFast", "MillraceIntakeErrorsSlow"},
			inject: func(_ context.Context, l *lab) error {
				err := syscall.Kill(l.server.PID(), syscall.SIGKILL)
				if err == nil {
					<-l.server.Done()
				}
				return err
			},
			undo: func(ctx context.Context, l *lab) error { return l.startDatabase(ctx) },
			shows: map[string]string{
				"MillraceIntakeErrorsFast": "MillraceDatabaseUnavailable",
				"MillraceIntakeErrorsSlow": "MillraceDatabaseUnavailable",
			},
		},
	}
}
