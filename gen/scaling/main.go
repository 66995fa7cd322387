// Command scaling prints a page with its reckoning of what one Postgres carries written anew, from the figures that the
// bench has published: docs/scaling.md and docs/performance.md.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

const (
	begin = "<!-- reckoning: written by make generate -->\n"
	end   = "<!-- end of reckoning -->\n"
	// load is the part of its processors that a database should use at the busiest hour.
	load = 0.7
	row  = "| Millrace | providers take 20 ms |"
)

func main() {
	page, err := os.ReadFile(os.Args[1])
	if err == nil {
		var measured []byte
		if measured, err = os.ReadFile(os.Args[2]); err == nil {
			err = write(string(page), string(measured))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scaling:", err)
		os.Exit(1)
	}
}

func write(page, measured string) error {
	before, rest, found := strings.Cut(page, begin)
	_, after, complete := strings.Cut(rest, end)
	if !found || !complete {
		return fmt.Errorf("%s has no place for the reckoning", os.Args[1])
	}
	table, err := reckon(measured)
	fmt.Print(before + begin + table + end + after)
	return err
}

var (
	bench  = regexp.MustCompile("(?m)^`make bench` on (.+?), (\\d+) cores, .*?, (\\d+ \\w+ \\d{4}),.*? Millrace (\\S+) ")
	number = regexp.MustCompile(`^[\d.]+`)
)

// reckon makes the table from the bench's row of whole orders. Its columns are: orders a second, p50, p99, then
// processor seconds of Millrace and of Postgres for a thousand orders, those of the load, commits and WAL.
func reckon(measured string) (string, error) {
	run := bench.FindStringSubmatch(measured)
	_, rest, found := strings.Cut(measured, row)
	if run == nil || !found {
		return "", fmt.Errorf("%s has no figures of whole orders", os.Args[2])
	}
	cells := strings.Split(strings.SplitN(rest, "\n", 2)[0], "|")
	const server, database, wal, columns = 3, 4, 7, 8
	if len(cells) < columns {
		return "", fmt.Errorf("the row of whole orders has %d columns", len(cells))
	}
	figure := map[int]float64{}
	for _, i := range []int{server, database, wal} {
		var err error
		if figure[i], err = strconv.ParseFloat(number.FindString(strings.TrimSpace(cells[i])), 64); err != nil {
			return "", fmt.Errorf("read column %d of whole orders: %w", i, err)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nFrom the run of %s, Millrace %s, on %s cores of %s: a whole order costs Postgres\n"+
		"%.3g ms of processor time and %.3g KB of WAL, and the processes of Millrace %.3g ms.\n\n",
		run[3], run[4], run[2], run[1], figure[database], figure[wal], figure[server])
	b.WriteString("| cores of Postgres | whole orders a second | WAL, MB a second | " +
		"cores of all processes of Millrace |\n")
	b.WriteString("| ---: | ---: | ---: | ---: |\n")
	for _, cores := range []float64{4, 8, 16, 32, 64, 96} {
		orders := cores * load / figure[database] * 1000
		fmt.Fprintf(&b, "| %.0f | %s | %.0f | %.0f |\n", cores, rounded(orders), orders*figure[wal]/1000,
			orders*figure[server]/1000/load)
	}
	b.WriteString("\n")
	return b.String(), nil
}

// rounded writes a number with two digits that count: a reckoning has no more.
func rounded(n float64) string {
	text := strconv.FormatFloat(n, 'e', 1, 64)
	n, _ = strconv.ParseFloat(text, 64)
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
