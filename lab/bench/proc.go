package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc/PID/stat. It is 10 ms on every Linux that is built today.
const tick = 10 * time.Millisecond

// tree lists a process and its descendants, as /proc has them. Elsewhere than on Linux it is empty, and what is
// measured through it 0.
func tree(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := statFields(pid)
		if err != nil || fields == nil {
			continue // it has ended meanwhile
		}
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// statFields are the fields of /proc/PID/stat from the state on: the name before it may have anything in it.
func statFields(pid int) []string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 15 {
		return nil
	}
	return fields
}

// cpu is the processor time that processes have used with all their descendants, also those that have ended.
func cpu(roots ...int) time.Duration {
	var total time.Duration
	for _, root := range roots {
		for _, pid := range tree(root) {
			fields := statFields(pid)
			if fields == nil {
				continue
			}
			for _, field := range fields[11:15] { // utime, stime, and those of children that ended
				ticks, _ := strconv.ParseInt(field, 10, 64)
				total += time.Duration(ticks) * tick
			}
		}
	}
	return total
}

// ownCPU is the processor time of this process: the load generator, and the providers.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// memory is what processes hold with all their descendants, in bytes. What several share is counted once (PSS).
func memory(roots ...int) int64 {
	var total int64
	for _, root := range roots {
		for _, pid := range tree(root) {
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
