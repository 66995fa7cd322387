package main

import (
	"errors"
	"time"
)

type workFlags struct {
	Workers    int           `env:"MILLRACE_WORKERS" default:"200" min:"1" help:"Steps that one process runs at the same time, for each provider."`
	SweepEvery time.Duration `env:"MILLRACE_SWEEP_EVERY" default:"15s" min:"1s" help:"How often the workers look for steps without a live job."`

	VerifyEvery        time.Duration `env:"MILLRACE_VERIFY_EVERY" default:"1m" min:"1s" or:"0" help:"How often the workers verify the invariants; 0 for never."`
	ReconcileEvery     time.Duration `env:"MILLRACE_RECONCILE_EVERY" default:"5m" min:"1s" or:"0" help:"How often the workers compare the providers' records with the orders; 0 for never."`
	ReconcileGrace     time.Duration `env:"MILLRACE_RECONCILE_GRACE" default:"1m" min:"1s" help:"Least age of an effect at a provider before it is compared."`
	ReconcileRepair    bool          `env:"MILLRACE_RECONCILE_REPAIR" default:"true" negatable:"" help:"Let reconciliation repair what a documented rule allows."`
	InventorySyncEvery time.Duration `env:"MILLRACE_INVENTORY_SYNC_EVERY" default:"1m" min:"1s" or:"0" help:"How often the workers ask the inventory provider for its stock; 0 for never."`

	KeepEvents        time.Duration `env:"MILLRACE_KEEP_EVENTS" group:"Retention" default:"90d" min:"1d" help:"Shortest time that events are kept in the log."`
	KeepCompletedJobs time.Duration `env:"MILLRACE_KEEP_COMPLETED_JOBS" group:"Retention" default:"1h" min:"1m" help:"Time that jobs are kept after they succeeded."`
	KeepFailedJobs    time.Duration `env:"MILLRACE_KEEP_FAILED_JOBS" group:"Retention" default:"7d" min:"1m" help:"Time that jobs are kept after they were cancelled or discarded."`
	KeepDeliveries    time.Duration `env:"MILLRACE_KEEP_DELIVERIES" group:"Retention" default:"30d" min:"1h" help:"Time that deliveries of webhooks are kept after they ended."`

	KeepOrders time.Duration `env:"MILLRACE_KEEP_ORDERS" group:"Retention" default:"0" min:"1d" or:"0" help:"Time that orders are kept after their last change, before they go into files; 0 for ever."`
	ArchiveDir string        `env:"MILLRACE_ARCHIVE_DIR" group:"Retention" type:"existingdir" help:"Directory of these files."`

	WebhookWorkers  int `env:"MILLRACE_WEBHOOK_WORKERS" group:"Webhooks" default:"20" min:"1" help:"Webhooks that one process sends to at the same time, and as many failing ones beside them."`
	WebhookParallel int `env:"MILLRACE_WEBHOOK_PARALLEL" group:"Webhooks" default:"2" min:"1" help:"Messages that are sent to one webhook at the same time."`
}

func (f workFlags) check() error {
	if (f.KeepOrders > 0) != (f.ArchiveDir != "") {
		return errors.New("--keep-orders and --archive-dir must be set together")
	}
	return nil
}
