package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxScanned is how many rows of a large table a query may read, by whatever index. Queries of verify read thousands of
// orders at a time, and some count up to a hundred thousand.
const (
	maxScanned = 10_000
	maxCounted = 102_000
)

// mostRows returns how many rows a query may read.
func mostRows(query string) int {
	switch query {
	case "QueueDepths", "LaneSteps", "UnfinishedOrders": // they count up to a bound
		return maxCounted
	case "JobDeleteBefore": // River deletes what it reads
		return maxCounted
	case "JobCountByAllStates": // River UI asks for it, while a page is open
		return math.MaxInt
	}
	if strings.HasPrefix(query, "Verify") {
		return maxCounted
	}
	return maxScanned
}

const maxPlanLine = 200

// plans has the slowest plan of each query that ran, by the query's name.
type plans map[string]plan

type plan struct {
	milliseconds float64
	text         string
	table        string // of which any plan of the query looked at most rows
	rows         int    // so many
	generic      bool   // it is what Postgres would do, and did not run
	planless     bool   // it is SET, LOCK or the like, for which Postgres makes no plan
}

var (
	planBegins = regexp.MustCompile(`duration: ([0-9.]+) ms  plan:`)
	planName   = regexp.MustCompile(`-- name: (\w+)`)
	planScan   = regexp.MustCompile(` Scan (?:Backward )?(?:using \w+ )?on ` +
		`(orders|order_items|order_steps|order_events\w*|river_job|webhook_deliveries|webhook_attempts)\b.*` +
		`actual .*rows=([0-9.]+) loops=(\d+)`)
	planRemoved = regexp.MustCompile(`Rows Removed by (?:Filter|Index Recheck): (\d+)`)
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
		name := planName.FindStringSubmatch(strings.Join(text, "\n"))
		p := plan{text: planOf(text)}
		if name == nil || p.text == "" {
			continue
		}
		p.milliseconds, _ = strconv.ParseFloat(begins[1], 64)
		p.table, p.rows = p.scans()
		found[name[1]] = found[name[1]].with(p)
	}
	return found
}

// with returns the slower of two plans of a query, and what either looked at most.
func (p plan) with(other plan) plan {
	if other.milliseconds >= p.milliseconds {
		p.text, p.milliseconds = other.text, other.milliseconds
	}
	if other.rows > p.rows {
		p.table, p.rows = other.table, other.rows
	}
	return p
}

// times lists the queries that ran, the slowest first, and those of our own that did not.
func (p plans) times(own []string) string {
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(p), func(a, b string) int {
		return cmp.Compare(p[b].milliseconds, p[a].milliseconds)
	}) {
		fmt.Fprintf(&b, "%9.1f ms  %s", p[name].milliseconds, name)
		if p[name].rows > 0 {
			fmt.Fprintf(&b, " (%s rows of %s)", thousands(int64(p[name].rows)), p[name].table)
		}
		b.WriteByte('\n')
	}
	for _, name := range own {
		if _, ran := p[name]; !ran {
			fmt.Fprintf(&b, "  did not run  %s\n", name)
		}
	}
	return b.String()
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

// check finds queries that look at too many rows of a large table, in any of their plans.
func (p plans) check() error {
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if p[name].rows > mostRows(name) {
			bad = append(bad, fmt.Errorf("%s scans %d rows of %s", name, p[name].rows, p[name].table))
		}
	}
	return errors.Join(bad...)
}

// scans returns the large table that a plan looks at most, row by row or by an index, and at how many of its rows.
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
		"any looks at more than %s rows\nof a large table. Names are those in `sql/queries`, and River's.\n",
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
