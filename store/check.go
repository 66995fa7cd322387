package store

import "github.com/millrace-orders/millrace/orders"

// Check is one thing that Verify looks at. docs/verify.md shows the table of them.
type Check struct {
	Name      string // stable: a label of metrics
	Invariant string // as docs/design.md numbers them; L is for liveness
	Means     string // what is wrong when it reports something
	Do        string // what whoever sees it should do
}

// The checks that are not rules of a single order.
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
	"database's log for who else writes to these tables: Millrace writes both in one transaction"

// Checks lists all checks, in the order in which they are reported.
func Checks() []Check {
	return []Check{
		{
			checkUnreadable, "I3", "An order cannot be read: its items, its steps or its address are not there or no JSON",
			"Restore the order's rows from a backup",
		},
		{
			string(orders.RuleItems), "", "The items of an order do not add up to its total", bySaga,
		},
		{
			string(orders.RuleLog), "I3, I4", "An order's log has a gap, has a version twice, or does not end with the " +
				"order's version. A beginning that was pruned is no gap", bySaga,
		},
		{
			string(orders.RuleFold), "I4", "Deciding an order's log again gives another order than the one that is stored. " +
				"After a release that changed the saga, orders from before it may show up", bySaga,
		},
		{
			string(orders.RuleTransition), "I5", "The log has an event that the saga does not allow there", bySaga,
		},
		{
			string(orders.RuleSteps), "I11", "A step is none of the saga, or was started before what it needs", bySaga,
		},
		{
			string(orders.RuleMoney), "I7", "More was captured than authorised, or more is refunded than was captured",
			"Look the order up at the payment provider, put the money right there, and find out who wrote the step",
		},
		{
			string(orders.RuleRest), "I8, I9", "An order is at rest, and its steps do not say what its status says: money " +
				"or goods are where they should not be, or work is left",
			"Look the order up at its providers, by the keys of its steps, and put right what is wrong there",
		},
		{
			string(orders.RuleStuck), "L1", "An unfinished order waits for no step: nothing will ever move it",
			"Cancel the order (`POST /api/orders/{id}/cancel`). Keep its history: this is a defect of Millrace",
		},
		{
			checkReconcile, "I6, I10", "A provider's own records disagree with the orders: `GET /api/reconciliation` says how",
			"See docs/reconciliation.md",
		},
		{
			checkKey, "I2", "Two orders of one principal have the same idempotency key",
			"Find out which of the two the client knows and cancel the other; then see `guards`",
		},
		{
			checkFeedOrder, "I15", "An order's events are in the log in another sequence than that of its versions: readers " +
				"of the feed saw the later one first", bySaga,
		},
		{
			checkOrphan, "I3", "There are events, items or steps of an order that is not there; items and steps are " +
				"only looked for with `--deep`",
			"Restore the order from a backup; an order is never deleted by Millrace",
		},
		{
			checkJob, "L1", "A step has been pending for a minute without a job that could carry it out. The sweep gives it " +
				"one every `--sweep-every`", "See that a process with workers runs, and what its log says of `sweep`",
		},
		{
			checkOverdue, "L7", "A step is pending half an hour after its deadline. Left out are queues that an operator " +
				"paused, and for 5 min those that were resumed or whose processes have just started",
			"Look its job up in River UI: its errors say why it has not ended",
		},
		{
			checkLongJob, "L2", "A job has been running for longer than any job may, and was not rescued",
			"See that there is a leader (`leader`), and look the job up in River UI",
		},
		{
			checkBacklog, "L8", "Jobs have been ready for a minute, and no process has worked their queue meanwhile. Left " +
				"out are queues that an operator paused, and those that all processes keep shut while a provider's breaker is " +
				"open. The minute begins anew when such a queue opens",
			"See that processes with workers run, and what their log says. Of queues that are worked and behind " +
				"`/api/system/status` says `queue_behind`",
		},
		{
			checkLeader, "L9", "No process of this deployment has led for 30 s: retries, sweeps and verification itself are " +
				"not started. Another application's River client may lead instead",
			"See that a process with workers runs, and that nothing else uses River's tables in the schema `millrace`. " +
				"After a crash it takes 15 s",
		},
		{
			checkVerification, "L9", "The latest verification is older than five times `--verify-every`, and than 5 min: " +
				"what the other checks say is as old",
			"See `leader` and `backlog`, and what the log says of the job `verify`: one that could not read everything " +
				"keeps nothing",
		},
		{
			checkUpkeep, "L8", "The log's upkeep fails or has not run for two hours, or a partition is missing: the log is " +
				"neither cut by the week nor pruned. A lock or an outage may fail it for two hours",
			"The detail has the error. A role that does not own the tables needs `millrace migrate --grant ROLE`; else see " +
				"`leader`, and which session holds a lock on `order_events`",
		},
		{
			checkSchema, "L9", "A later release has migrated the database, and does not say that this one may run beside it",
			"Stop the processes of this release, and start that one's",
		},
		{
			checkOldWriter, "L6", "A transaction that writes has been open for more than 10 s. Until it ends, nobody sees " +
				"what was logged after it began: caches, event streams and webhooks wait. A prepared transaction (pid 0) " +
				"counts too; the log's upkeep does not in its first 15 min",
			"End it: `SELECT pg_terminate_backend(pid)`; a prepared one with `COMMIT PREPARED` or `ROLLBACK PREPARED`",
		},
		{
			checkOldSnapshot, "L8", "A transaction that only reads has been open for more than 5 min, or one of `pg_dump` " +
				"for more than a day. Until it ends, vacuum removes nothing, and fetching jobs gets slower",
			"End it, if it is no backup: `SELECT pg_terminate_backend(pid)`",
		},
		{
			checkSlots, "L8", "A replication slot keeps more than 10 GiB of WAL, or more than 1 GiB and was not used for 10 " +
				"min (Postgres 17 or later): the disk fills up. Or it, or a standby's feedback, keeps the rows that died in the last " +
				"million transactions, or in the catalog in the last hundred million",
			"Bring its consumer back, or drop it: `SELECT pg_drop_replication_slot(name)`. `max_slot_wal_keep_size` bounds " +
				"the WAL",
		},
		{
			checkNotifications, "L8", "More than 1 % of the notification queue is used: some session listens in a " +
				"transaction that it does not end", "End the oldest session that listens",
		},
		{
			checkDeadRows, "L8", "Vacuum does not keep up with a table",
			"See `old_snapshot`; else give autovacuum more workers or a higher cost limit",
		},
		{
			checkGuards, "I2, I4, I20", "A constraint, a unique index or a trigger that Millrace relies on is missing, not in " +
				"force, or another than `sql/migrations` make", "Find out what it has let through with `millrace verify " +
				"--deep`, and make it again as in `sql/migrations`",
		},
		{
			checkClock, "I14", "This machine's clock and the database's differ by more than 2 s",
			"Set this machine's right: logs, River's upkeep and the next start go by it",
		},
	}
}
