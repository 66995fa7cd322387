// Command restore drills a restore. It runs a real Millrace on a Postgres that archives its WAL, backs that Postgres
// up, destroys it in the middle of work, restores it to a moment, and has Millrace find and undo what the providers did
// for the orders that are lost. Then it compares every figure with the providers' own ledger.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Marks between which the table is written.
const (
	tableBegin = "<!-- drill-restore: begin -->"
	tableEnd   = "<!-- drill-restore: end -->"
)

func main() {
	binary := flag.String("millrace", "bin/millrace", "program of Millrace")
	orders := flag.Int("orders", 40, "orders before the moment, and orders after it")
	publish := flag.String("publish", "", "file into which the table is written, between its marks")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rows, err := run(ctx, *binary, *orders)
	if err == nil {
		fmt.Print("\n" + table(rows))
		if *publish != "" {
			err = publishTable(*publish, rows)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "restore:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, orders int) (rows []row, err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "millrace-restore-")
	if err != nil {
		return nil, err
	}
	d := &deployment{dir: dir, binary: binary}
	defer func() {
		d.stop()
		if err != nil {
			err = fmt.Errorf("%w (the logs are in %s)", err, dir)
			return
		}
		_ = os.RemoveAll(dir)
	}()
	if err := d.start(ctx); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	drill := &drill{deployment: d, orders: orders}
	err = drill.run(ctx)
	return drill.rows, err
}

// row is a line of the table.
type row struct{ what, figure string }

func table(rows []row) string {
	lines := []string{"| what | figure |", "| --- | --- |"}
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("| %s | %s |", r.what, r.figure))
	}
	return strings.Join(lines, "\n") + "\n"
}

// publishTable writes the table between the marks of a file.
func publishTable(path string, rows []row) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(content), tableBegin)
	_, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no %s", path, tableBegin)
	}
	return os.WriteFile(path, []byte(before+tableBegin+"\n\n"+table(rows)+"\n"+tableEnd+after), 0o600)
}
