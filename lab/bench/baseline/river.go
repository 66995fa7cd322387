package baseline

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Settings of River's own benchmark (river bench).
const (
	riverWorkers       = 2000
	riverFetchCooldown = 2 * time.Millisecond
	riverPoll          = 20 * time.Millisecond
	riverInsert        = 5000
)

type nothing struct{}

// Kind names the job.
func (nothing) Kind() string { return "nothing" }

// River runs jobs that do nothing, and prints how long they took. All jobs are stored before the clock starts. The
// clock stops when the database shows the last job as completed.
func River(ctx context.Context, url string, jobs int) error {
	pool, err := openPool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	var done atomic.Int64
	last := make(chan struct{})
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[nothing]) error {
		if done.Add(1) == int64(jobs) {
			close(last)
		}
		return nil
	}))
	client, err := river.NewClient(driver, &river.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
		FetchCooldown: riverFetchCooldown, FetchPollInterval: riverPoll,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	for i := 0; i < jobs; i += riverInsert {
		batch := make([]river.InsertManyParams, min(riverInsert, jobs-i))
		for k := range batch {
			batch[k].Args = nothing{}
		}
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := client.Start(ctx); err != nil {
		return err
	}
	select {
	case <-last:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := awaitCompleted(ctx, pool, jobs); err != nil {
		return err
	}
	elapsed := time.Since(begin)
	if err := client.Stop(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"jobs": jobs, "seconds": elapsed.Seconds()})
}

func awaitCompleted(ctx context.Context, pool *pgxpool.Pool, jobs int) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		var completed int
		err := pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&completed)
		if err != nil || completed == jobs {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
