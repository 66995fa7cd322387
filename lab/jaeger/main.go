// Command jaeger has a real Jaeger receive the trace of one order, from its request to the receiver of its webhook. It
// looks at the trace through Jaeger's query API, and draws it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	millrace := flag.String("millrace", "bin/millrace", "program of Millrace")
	jaeger := flag.String("jaeger", "", "program of Jaeger 2")
	picture := flag.String("picture", "", "file into which the trace is drawn")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *millrace, *jaeger, *picture); err != nil {
		fmt.Fprintln(os.Stderr, "jaeger:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, millrace, jaeger, picture string) (err error) {
	millrace, err = filepath.Abs(millrace)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/tmp", "millrace-jaeger-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // as root, Postgres runs as another user
		return err
	}
	d := &deployment{dir: dir, millrace: millrace, jaeger: jaeger}
	defer func() {
		d.stop()
		if err != nil {
			err = fmt.Errorf("%w (the logs are in %s)", err, dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if err := d.start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	order, err := d.place(ctx)
	if err != nil {
		return fmt.Errorf("place an order: %w", err)
	}
	trace, err := d.awaitTrace(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(trace.check(), d.checkCommit(ctx, trace)); err != nil {
		return fmt.Errorf("the trace of order %s: %w", order, err)
	}
	fmt.Printf("Jaeger has order %s as one trace of %d spans\n%s", order, len(trace.Spans), trace.tree())
	if picture == "" {
		return nil
	}
	return os.WriteFile(picture, []byte(trace.draw()), 0o600)
}
