package store

import "github.com/millrace-orders/millrace/orders"

// Check is one thing that Verify checks. docs/verify.md has a table of all checks.
type Check struct {
	Name      string // stable: it is a label of metrics
	Invariant string // as docs/design.md numbers them; L is for liveness
	Means     string // what is wrong if the check fails
	Do        string // what to do about it
}

// Checks that are not rules of a single order.
const (
	checkUnreadable    = "unreadable"
	checkKey           = "idempotency_key"
	checkFeedOrder     = "feed_order"
	checkOrphan        = "orphan"
	checkJob           = "job"
	checkOverdue       = "overdue"
	checkLongJob       = "long_job"
	checkBacklog       = "backlog"
	checkLeader        = "leader"
	checkVerification  = "verification"
	checkUpkeep        = "log_upkeep"
	checkSchema        = "schema"
	checkOldWriter     = "old_writer"
	checkOldSnapshot   = "old_snapshot"
	checkSlots         = "replication_slots"
	checkNotifications = "notifications"
	checkDeadRows      = "dead_rows"
	checkGuards        = "guards"
	checkClock         = "clock"
	checkReconcile     = "reconciliation"
)

const bySaga = "Compare the order's history (`GET /api/orders/{id}/events`) with its steps, and look in the " +
	"database's log for other programs that write to these tables: Millrace writes both in one transaction"

// Checks lists all checks, in the order of a report.
func Checks() []Check {
	return []Check{
		{
			checkUnreadable, "I3", "An order cannot be read: its items, its steps or its address are missing or " +
				"not JSON",
			"Restore the order's rows from a backup",
		},
		{
			string(orders.RuleItems), "", "The items of an order do not add up to its total", bySaga,
		},
		{
			string(orders.RuleLog), "I3, I4", "An order's log has a gap, has a version twice, or does not end with " +
				"the order's version. A pruned beginning is not a gap", bySaga,
		},
		{
			string(orders.RuleFold), "I4", "Deciding an order's log again gives an order that differs from the " +
				"stored one. After a release that changed the saga, orders from before it may show up", bySaga,
		},
		{
			string(orders.RuleTransition), "I5", "The log has an event that the saga does not allow there", bySaga,
		},
		{
			string(orders.RuleSteps), "I11", "A step is not in the saga, or was started before a step that it " +
				"needs", bySaga,
		},
		{
			string(orders.RuleMoney), "I7", "More was captured than authorised, or more is refunded than was captured",
			"Look the order up at the payment provider, correct the money there, and find out which program wrote " +
				"the step",
		},
		{
			string(orders.RuleRest), "I8, I9", "An order is at rest, and its steps disagree with its status: money " +
				"or goods are where they should not be, or work is left",
			"Look the order up at its providers, by the keys of its steps, and correct there what is wrong",
		},
		{
			string(orders.RuleStuck), "L1", "An unfinished order waits for no step: nothing will ever move it",
			"Cancel the order (`POST /api/orders/{id}/cancel`). Keep its history: this is a defect of Millrace",
		},
		{
			checkReconcile, "I6, I10", "A provider's own records disagree with the orders: `GET " +
				"/api/reconciliation` has the findings",
			"See docs/reconciliation.md",
		},
		{
			checkKey, "I2", "Two orders of one principal have the same idempotency key",
			"Find out which of the two the client knows and cancel the other; then see `guards`",
		},
		{
			checkFeedOrder, "I15", "An order's events are in the log in a sequence that differs from its versions: " +
				"readers of the feed saw a later event first", bySaga,
		},
		{
			checkOrphan, "I3", "There are events, items or steps of a missing order; items and steps are only " +
				"checked with `--deep`",
			"Restore the order from a backup; Millrace never deletes an order",
		},
		{
			checkJob, "L1", "A step has been pending for a minute without a job that could carry it out. The sweep gives it " +
				"one every `--sweep-every`", "Check that a process with workers runs, and read what its log says " +
				"of `sweep`",
		},
		{
			checkOverdue, "L7", "A step is pending half an hour after its deadline. Paused queues are left out, " +
				"and for 5 min also queues that were resumed or whose processes have just started",
			"Look the job up in River UI, in the queue of the step's provider or in `orders`: the job's errors say why the " +
				"step has not ended",
		},
		{
			checkLongJob, "L2", "A job has been running for longer than any job may, and was not rescued",
			"Check that there is a leader (`leader`), and look the job up in River UI",
		},
		{
			checkBacklog, "L8", "Jobs have been ready for a minute, and no process has worked their queue " +
				"meanwhile. Paused queues are left out, and queues that all processes keep shut while a provider's " +
				"breaker is open. The minute begins anew when such a queue opens",
			"Check that processes with workers run, and read their log. For queues that are worked but behind, " +
				"`/api/system/status` has the reason `queue_behind`",
		},
		{
			checkLeader, "L9", "No process of this deployment has led for 30 s: retries, sweeps and verification itself are " +
				"not started. Another application's River client may lead instead",
			"Check that a process with workers runs, and that no other application uses River's tables in the " +
				"schema `millrace`. After a crash a new leader takes 15 s",
		},
		{
			checkVerification, "L9", "The latest verification is older than five times `--verify-every`, and older " +
				"than 5 min: the results of the other checks are as old",
			"See `leader` and `backlog`, and what the log says of the job `verify`: a verification that could not " +
				"read everything stores nothing",
		},
		{
			checkUpkeep, "L8", "The log's upkeep fails or has not run for two hours, or a partition is missing: " +
				"the log is neither cut by the week nor pruned. A failure because of a lock or an outage is " +
				"reported after two hours",
			"The detail has the error. A role that does not own the tables needs `millrace migrate --grant ROLE`. " +
				"Otherwise see `leader`, and find the session that holds a lock on `order_events`",
		},
		{
			checkSchema, "L9", "A later release has migrated the database, and does not allow this release to run " +
				"beside it",
			"Stop the processes of this release, and start those of the later release",
		},
		{
			checkOldWriter, "L6", "A transaction that writes has been open for more than 10 s. Until it ends, " +
				"readers see no event that was logged after it began: caches, event streams and webhooks wait. " +
				"Transactions of other databases hold nothing up. A prepared transaction (pid 0) counts too. " +
				"The log's upkeep does not count in its first 15 min",
			"End it: `SELECT pg_terminate_backend(pid)`; a prepared one with `COMMIT PREPARED` or `ROLLBACK PREPARED`",
		},
		{
			checkOldSnapshot, "L8", "A transaction that only reads has been open for more than 5 min, or a " +
				"transaction of `pg_dump` for more than a day. Until it ends, vacuum removes nothing, and fetching " +
				"jobs gets slower",
			"End it, unless it is a backup: `SELECT pg_terminate_backend(pid)`",
		},
		{
			checkSlots, "L8", "A replication slot keeps more than 10 GiB of WAL, or more than 1 GiB and was not " +
				"used for 10 min (Postgres 17 or later): the disk fills up. Or a slot, or a standby's feedback, " +
				"keeps the rows that died in the last million transactions, or in the catalog in the last hundred " +
				"million",
			"Bring the slot's consumer back, or drop the slot: `SELECT pg_drop_replication_slot(name)`. " +
				"`max_slot_wal_keep_size` bounds the WAL",
		},
		{
			checkNotifications, "L8", "More than 1 % of the notification queue is used: a session listens in a " +
				"transaction that it does not end", "End the oldest session that listens",
		},
		{
			checkDeadRows, "L8", "Vacuum does not keep up with a table",
			"See `old_snapshot`; otherwise give autovacuum more workers or a higher cost limit",
		},
		{
			checkGuards, "I2, I4, I20", "A constraint, a unique index or a trigger that Millrace relies on is " +
				"missing, not in force, or differs from `sql/migrations`", "Find the violations that it would have prevented " +
				"with `millrace verify --deep`, and make it again as in `sql/migrations`",
		},
		{
			checkClock, "I14", "This machine's clock and the database's differ by more than 2 s",
			"Set this machine's clock right: logs, River's upkeep and the next start go by it",
		},
	}
}
