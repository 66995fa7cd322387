package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// tick is the unit of times in /proc/PID/stat. It is 10 ms on every Linux that is built today.
const tick = 10 * time.Millisecond

// cpu returns the processor time of processes and all their descendants, including ended ones.
func cpu(roots ...int) time.Duration {
	var total time.Duration
	for _, root := range roots {
		for _, pid := range launch.Family(root) {
			fields := launch.Stat(pid)
			if fields == nil {
				continue
			}
			for _, field := range fields[11:15] { // utime, stime, and those of ended children
				ticks, _ := strconv.ParseInt(field, 10, 64)
				total += time.Duration(ticks) * tick
			}
		}
	}
	return total
}

// ownCPU returns the processor time of this process: the load generator and the providers.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// memory returns the memory of processes and all their descendants, in bytes. Shared memory is counted once (PSS).
func memory(roots ...int) int64 {
	var total int64
	for _, root := range roots {
		for _, pid := range launch.Family(root) {
			rollup, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
			for line := range strings.Lines(string(rollup)) {
				if value, ok := strings.CutPrefix(line, "Pss:"); ok {
					kilobytes, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
					total += kilobytes << 10
				}
			}
		}
	}
	return total
}
