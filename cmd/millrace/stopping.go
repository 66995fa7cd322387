package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tellEvery is the time between two lines about what a process that stops is waiting for.
const tellEvery = 2 * time.Second

// tellStopping says at once, and then every few seconds, what the process waits for, until it is told that it has
// stopped: a provider that hangs may take as long as a call may.
func (n *node) tellStopping() (stopped func()) {
	began := time.Now()
	n.progress.Info("stopping", "running", n.underWay(), "at_most_seconds", int(stopTimeout.Seconds()))
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
				n.progress.Info("waiting for what is under way", "running", n.underWay(),
					"seconds", int(time.Since(began).Seconds()), "at_most_seconds", int(stopTimeout.Seconds()))
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
		n.progress.Info("stopped")
	}
}

// underWay counts what the workers are doing, by queue, as in "payment: 2, webhooks: 1".
func (n *node) underWay() string {
	if n.running == nil {
		return "requests"
	}
	running := n.running()
	var parts []string
	for _, queue := range slices.Sorted(maps.Keys(running)) {
		parts = append(parts, fmt.Sprintf("%s: %d", queue, running[queue]))
	}
	return strings.Join(parts, ", ")
}
