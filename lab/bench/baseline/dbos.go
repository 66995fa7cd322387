package baseline

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DBOSConfig has the servers' addresses.
type DBOSConfig struct{ Database, Providers string }

// workflow is an order as a DBOS workflow. Each step is recorded when it is done, and an interrupted workflow continues
// after its last recorded step. The steps run one after the other, because DBOS identifies them by number.
type workflow struct {
	pool      *pgxpool.Pool
	providers *providers
}

// DBOS runs the API and the workflows until ctx ends.
//
// RunWorkflow starts a workflow. It returns when the input is stored, and the workflow runs in this process at once.
// That is faster than a queue, which processes poll.
func DBOS(ctx context.Context, c DBOSConfig) error {
	pool, err := openPool(ctx, c.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	runtime, err := dbos.NewDBOSContext(context.WithoutCancel(ctx), dbos.Config{
		AppName: "bench", SystemDBPool: pool, Logger: logger,
	})
	if err != nil {
		return err
	}
	w := &workflow{pool, newProviders(c.Providers)}
	dbos.RegisterWorkflow(runtime, w.run)
	if err := dbos.Launch(runtime); err != nil {
		return err
	}
	defer dbos.Shutdown(runtime, 10*time.Second)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/orders", func(rw http.ResponseWriter, r *http.Request) {
		o, err := readOrder(r)
		if err == nil {
			_, err = dbos.RunWorkflow(runtime, w.run, input{o, o.Key}, dbos.WithWorkflowID(o.Key))
		}
		accept(rw, o, err)
	})
	return serve(ctx, mux)
}

// input is the input of a workflow.
type input struct {
	Order Order
	Key   string
}

func (w *workflow) run(ctx dbos.DBOSContext, in input) (string, error) {
	o := in.Order
	o.Key = in.Key
	if err := record(ctx, "place", func(ctx context.Context) error { return insert(ctx, w.pool, o) }); err != nil {
		return "", err
	}
	for _, s := range []step{authorize(), reserve(), quote(), capture(), ship()} {
		if err := w.step(ctx, o, s); err != nil {
			return "", err
		}
	}
	err := record(ctx, "complete", func(ctx context.Context) error { return complete(ctx, w.pool, o.ID) })
	if err != nil {
		return "", err
	}
	return "completed", w.step(ctx, o, email())
}

// step calls a provider and records its reference.
func (w *workflow) step(ctx dbos.DBOSContext, o Order, s step) error {
	_, err := dbos.RunAsStep(ctx, func(ctx context.Context) (string, error) { return w.providers.call(ctx, o, s) },
		dbos.WithStepName(s.name), dbos.WithStepMaxRetries(5))
	return err
}

func record(ctx dbos.DBOSContext, name string, do func(context.Context) error) error {
	_, err := dbos.RunAsStep(ctx, func(ctx context.Context) (string, error) { return "", do(ctx) },
		dbos.WithStepName(name))
	return err
}
