package launch

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Family returns a process and its descendants, from /proc; the process is first. On systems other than Linux it
// returns the process alone.
func Family(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := Stat(pid)
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

// Stat returns the fields of /proc/PID/stat from the state on; the name before them may contain any character. It is
// nil for a process that is gone.
func Stat(pid int) []string {
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
