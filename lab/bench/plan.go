package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxScanned is how many rows of a large table a query may read one by one.
const maxScanned = 10_000

const maxPlanLine = 200

// plans has the slowest plan of each query that ran, by the query's name.
type plans map[string]plan

type plan struct {
	milliseconds float64
	text         string
	generic      bool // Postgres' generic plan: the query did not run
	planless     bool // Postgres makes no plan for SET, LOCK and the like
}

var (
	planBegins = regexp.MustCompile(`duration: ([0-9.]+) ms  plan:`)
	planName   = regexp.MustCompile(`-- name: (\w+)`)
	planScan   = regexp.MustCompile(`Seq Scan on ` +
		`(orders|order_items|order_steps|order_events\w*|river_job|webhook_deliveries|webhook_attempts)\b.*` +
		`actual .*rows=([0-9.]+) loops=(\d+)`)
	planRemoved = regexp.MustCompile(`Rows Removed by Filter: (\d+)`)
)

// readPlans reads the log of a Postgres with auto_explain. The lines of a plan begin with a tab.
func readPlans(log string) plans {
	found := plans{}
	lines := strings.Split(log, "\n")
	for i := 0; i < len(lines); i++ {
		begins := planBegins.FindStringSubmatch(lines[i])
		if begins == nil {
			continue
		}
		var text []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") {
			i++
			text = append(text, strings.TrimPrefix(lines[i], "\t"))
		}
		p := plan{text: planOf(text)}
		p.milliseconds, _ = strconv.ParseFloat(begins[1], 64)
		if name := planName.FindStringSubmatch(strings.Join(text, "\n")); name != nil && p.text != "" &&
			p.milliseconds >= found[name[1]].milliseconds {
			found[name[1]] = p
		}
	}
	return found
}

// slowest names the n slowest queries.
func (p plans) slowest(n int) []string {
	names := slices.SortedFunc(maps.Keys(p), func(a, b string) int {
		return cmp.Compare(p[b].milliseconds, p[a].milliseconds)
	})
	return names[:min(n, len(names))]
}

// planOf removes the query, which comes first and is in sql/queries. The plan begins at the first costs.
func planOf(lines []string) string {
	begins := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "(cost=") })
	if begins < 0 {
		return ""
	}
	lines = slices.Clone(lines[begins:])
	for i, line := range lines {
		if len(line) > maxPlanLine { // a condition with a thousand ids
			lines[i] = line[:maxPlanLine] + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// check finds queries that read a large table row by row. The queries of verify may: they read a thousand orders at a
// time, and some of these have no index.
func (p plans) check() error {
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if strings.HasPrefix(name, "Verify") {
			continue
		}
		if table, rows := p[name].scans(); rows > maxScanned {
			bad = append(bad, fmt.Errorf("%s scans %d rows of %s", name, rows, table))
		}
	}
	return errors.Join(bad...)
}

// scans returns the large table that is scanned most, and the number of its rows that are read.
func (p plan) scans() (table string, most int) {
	lines := strings.Split(p.text, "\n")
	for i, line := range lines {
		scan := planScan.FindStringSubmatch(line)
		if scan == nil {
			continue
		}
		rows, _ := strconv.ParseFloat(scan[2], 64)
		for _, detail := range lines[i+1:] {
			if strings.Contains(detail, "->") {
				break
			}
			if removed := planRemoved.FindStringSubmatch(detail); removed != nil {
				n, _ := strconv.ParseFloat(removed[1], 64)
				rows += n
			}
		}
		loops, _ := strconv.ParseFloat(scan[3], 64)
		if n := int(rows * loops); n > most {
			table, most = scan[1], n
		}
	}
	return table, most
}

// markdown shows the plans of Millrace's own queries, and of River's queries that run for every job.
func (p plans) markdown(orders, pending int, own []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Plans\n\nThe slowest plan of each query, with %s orders and %s events in the database, and "+
		"another %s orders with a pending step, a\njob that waits, and a webhook's message that waits. "+
		"From `make bench-growth`, which fails if "+
		"any looks at more than %s rows\nof a large table one by one. Names are those in `sql/queries`, and River's.\n",
		thousands(int64(orders)), thousands(int64(10*orders)), thousands(int64(pending)), thousands(maxScanned))
	var generic, planless []string
	for _, name := range own {
		switch {
		case p[name].generic:
			generic = append(generic, "`"+name+"`")
		case p[name].planless:
			planless = append(planless, "`"+name+"`")
		}
	}
	if len(generic) > 0 {
		fmt.Fprintf(&b, "\nThese did not run, and have the plan that Postgres would choose whatever the parameters are: "+
			"%s.\n",
			strings.Join(generic, ", "))
	}
	if len(planless) > 0 {
		fmt.Fprintf(&b, "\nThese are statements for which Postgres makes no plan: %s.\n", strings.Join(planless, ", "))
	}
	for _, name := range append(own, "JobGetAvailable", "JobSetStateIfRunningMany") {
		if plan, ran := p[name]; ran && !plan.planless {
			fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", name, plan.text)
		}
	}
	return b.String()
}

// missing finds queries without a plan that Postgres would plan.
func (p plans) missing(own []string) error {
	var bad []error
	for _, name := range own {
		if _, ran := p[name]; !ran {
			bad = append(bad, fmt.Errorf("%s has no plan", name))
		}
	}
	return errors.Join(bad...)
}

var queryName = regexp.MustCompile(`(?m)^-- name: (\w+)`)

// queryNames lists the queries in a directory.
func queryNames(dir string) (names []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, name := range queryName.FindAllStringSubmatch(string(content), -1) {
			names = append(names, name[1])
		}
	}
	slices.Sort(names)
	return names, nil
}
