//go:build scale

package main

import (
	"context"
	"flag"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

var scaleRestarts = flag.Int("scale.restarts", 20,
	"restarts of an API process and a worker process, behind each balancer")

// scaleFollowers follow the events of all orders, each through one process at a time.
const scaleFollowers = 3

// TestScale runs two API processes and two worker processes behind nginx and behind HAProxy, and restarts all of them
// in turn under load. No client repeats a request, and no request fails. Every order that was accepted is completed.
// Readers of the events get each event once. Limits and keys are those of the deployment, whichever process answers.
func TestScale(t *testing.T) { //nolint:paralleltest // one after the other: both measure
	for name, balance := range map[string]func(*testing.T, []string) *balanced{"nginx": nginx, "HAProxy": haproxy} {
		t.Run(name, func(t *testing.T) {
			database, simulators := storetest.URL(t), newSimulators(t)
			load := &scaleLoad{key: createKey(t, database, "service")}
			viewer := createKey(t, database, "viewer")
			d := startScaled(t, database, simulators)
			b := balance(t, d.addresses)
			b.awaitAll(t)
			load.url = b.url

			following, unfollow := context.WithCancel(t.Context())
			var readers, asking sync.WaitGroup
			var followers []*follower
			for range scaleFollowers {
				followers = append(followers, follow(following, t, &readers, load))
			}
			asked, answer := context.WithCancel(t.Context())
			limited := exceed(asked, t, &asking, load, viewer)
			stop := load.run(t)
			for round := range *scaleRestarts {
				d.restart(t, round%2)
				b.awaitAll(t)
				if round < 2 {
					requireKeys(t, database, d.apis)
				}
			}
			stop()
			answer()
			asking.Wait()
			awaitCompleted(t, database, load.placed.Load())
			for _, f := range followers {
				f.requireAll(t, database)
				t.Logf("%d events over %d streams, each once", f.count(), f.streams.Load())
			}
			unfollow()
			readers.Wait()
			limited.requireShared(t)
			t.Logf("%d requests through %d restarts, %d failed", load.sent.Load(), *scaleRestarts, load.failed.Load())
			require.Zero(t, load.failed.Load())
		})
	}
}

// scaled is a deployment of two API processes and two worker processes.
type scaled struct {
	addresses     []string
	apis, workers []*instance
	api           func(address string) *instance
	work          func() *instance
}

func startScaled(t *testing.T, database, simulators string) *scaled {
	t.Helper()
	d := &scaled{addresses: []string{freeAddress(t), freeAddress(t)}}
	d.api = func(address string) *instance {
		return startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
			"--api-addr", address, "--ops-addr", "127.0.0.1:0", "--drain-delay", "4s", "--api-connections", "5",
			"--rate-limit-viewer", strconv.Itoa(scaleLimit), "--rate-window", scaleWindow.String())
	}
	d.work = func() *instance {
		args := []string{"work", "--work-connections", "5"}
		all := serveArgs(database, simulators)[1:]
		for i := 0; i < len(all); i += 2 {
			if all[i] != "--api-addr" && all[i] != "--rate-limit" {
				args = append(args, all[i], all[i+1])
			}
		}
		return startProcess(t, args...)
	}
	for _, address := range d.addresses {
		d.apis, d.workers = append(d.apis, d.api(address)), append(d.workers, d.work())
	}
	return d
}

// restart restarts an API process, and then a worker process.
func (d *scaled) restart(t *testing.T, i int) {
	t.Helper()
	require.NoError(t, d.apis[i].stop())
	d.apis[i] = d.api(d.addresses[i])
	require.NoError(t, d.workers[i].stop())
	d.workers[i] = d.work()
}
