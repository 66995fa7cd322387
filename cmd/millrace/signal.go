package main

import (
	"context"
	"os"
	"time"
)

// sameSignal is the time in which a second signal counts as the first: a terminal and its process group, or timeout(1),
// send two.
const sameSignal = time.Second

// untilSignal returns a context that ends with the first signal, so that the process stops in order. A later signal
// calls exit, unless it comes within sameSignal.
func untilSignal(signals <-chan os.Signal, now func() time.Time, exit func(os.Signal)) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		if _, ok := <-signals; !ok {
			return
		}
		first := now()
		cancel()
		for signal := range signals {
			if now().Sub(first) >= sameSignal {
				exit(signal)
			}
		}
	}()
	return ctx
}
