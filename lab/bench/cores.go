package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	coresSection = "Whole orders over cores: Millrace and Postgres have so many, load and providers have all"
	coresEach    = "Millrace and Postgres"
)

// coreCounts returns the numbers of cores to measure: 1, 2, 4 and so on, as far as the machine has them.
func coreCounts() (counts []int) {
	for n := 1; n <= runtime.NumCPU(); n *= 2 {
		counts = append(counts, n)
	}
	return counts
}

func coresLabel(n int) string { return fmt.Sprintf("%d of %d", n, runtime.NumCPU()) }

// cores lists the measurements of whole orders on a part of the machine.
func (b *bench) cores() (all []measurement) {
	for _, n := range coreCounts() {
		all = append(all, measurement{"over cores, " + coresLabel(n), func(ctx context.Context) error {
			return b.measureCores(ctx, n)
		}})
	}
	return all
}

// measureCores measures whole orders while Millrace and Postgres may use n cores.
func (b *bench) measureCores(ctx context.Context, n int) (err error) {
	if err := confine(n, launch.Family(b.cluster.server.PID())...); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, confine(runtime.NumCPU(), launch.Family(b.cluster.server.PID())...))
	}()
	c := contender{coresEach, template, func(ctx context.Context, d *database, w *world) (*system, error) {
		args := append([]string{
			"serve", "--database-url", d.url, "--ops-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--rate-limit", "0",
		}, w.args()...)
		p, err := spawn(ctx, []string{"GOMAXPROCS=" + strconv.Itoa(n)}, b.millrace, args...)
		if err != nil {
			return nil, err
		}
		return &system{coresEach, p, []int{p.PID()}, p.stop}, confine(n, p.PID())
	}, millraceLatencies}
	return b.measureWholeAs(ctx, c, slowProviders, coresSection, coresLabel(n))
}

// confine lets all threads of processes run on the first n cores only. What they start later inherits it.
func confine(n int, pids ...int) error {
	var set unix.CPUSet
	for i := range n {
		set.Set(i)
	}
	for _, pid := range pids {
		tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*"))
		for _, task := range tasks {
			thread, _ := strconv.Atoi(filepath.Base(task))
			if err := unix.SchedSetaffinity(thread, &set); err != nil && !errors.Is(err, syscall.ESRCH) {
				return os.NewSyscallError("sched_setaffinity", err)
			}
		}
	}
	return nil
}
