package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tellEvery is the time between two log lines of a stopping process about the jobs it waits for.
const tellEvery = 2 * time.Second

// tellStopping logs at once, and then every few seconds, what the process waits for, until stopped is called. A
// provider that hangs may delay the stop for as long as a call may take.
func (n *node) tellStopping() (stopped func()) {
	began := time.Now()
	n.progress.Info("stopping", append(n.underWay(), "at_most_seconds", int(stopTimeout.Seconds()))...)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				n.progress.Info("waiting for running work", append(n.underWay(),
					"seconds", int(time.Since(began).Seconds()), "at_most_seconds", int(stopTimeout.Seconds()))...)
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
		n.progress.Info("stopped")
	}
}

// underWay returns the running jobs as an attribute of a log line: by queue, as in "payment: 2, webhooks: 1". It
// returns nothing if no job runs, and in a process without workers.
func (n *node) underWay() []any {
	if n.running == nil {
		return nil
	}
	running := n.running()
	var parts []string
	for _, queue := range slices.Sorted(maps.Keys(running)) {
		parts = append(parts, fmt.Sprintf("%s: %d", queue, running[queue]))
	}
	if len(parts) == 0 {
		return nil
	}
	return []any{"running", strings.Join(parts, ", ")}
}
