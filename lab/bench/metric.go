package main

// The metrics, as in the tables' headings.
const (
	rate        = "a second"
	p50         = "p50 ms"
	p99         = "p99 ms"
	serverCPU   = "server CPU s/1000"
	postgresCPU = "Postgres CPU s/1000"
	loadCPU     = "load CPU s/1000"
	commits     = "commits each"
	walKB       = "WAL KB each"
	memoryMB    = "server MB"
	readyMS     = "ready ms"
	notifies    = "pg_notify a second"
	cpuPercent  = "CPU %"
	growthMB    = "MB a minute"
)

// metrics lists all metrics in the order of the tables' columns.
func metrics() []string {
	return []string{
		rate, p50, p99, serverCPU, postgresCPU, loadCPU, commits, walKB, memoryMB, readyMS, notifies, cpuPercent, growthMB,
	}
}

const (
	thousand = 1000
	megabyte = 1 << 20
	kilobyte = 1 << 10
)
