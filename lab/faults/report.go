package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"strings"
)

// result is the result of a row.
type result struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Expected   string   `json:"expected"`
	Seed       uint64   `json:"seed"`
	Seconds    float64  `json:"seconds"`
	Figures    []figure `json:"figures"`
	Skipped    string   `json:"skipped,omitempty"` // why it did not run
	Violations []string `json:"violations"`
	// Explained counts what explain said of orders under way while the row ran.
	Explained explained `json:"explained"`
}

func (r result) verdict() string {
	switch {
	case r.Skipped != "":
		return "not run"
	case len(r.Violations) > 0:
		return fmt.Sprintf("**failed**, violations: %d", len(r.Violations))
	}
	return "holds"
}

// lines returns the result as the terminal shows it.
func (r result) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-4s %s (seed %d)\n     %s: %s [%.0f s]\n", r.ID, r.Name, r.Seed, r.verdict(), r.numbers(), r.Seconds)
	for _, v := range r.Violations[:min(10, len(r.Violations))] {
		fmt.Fprintln(&b, "     ", v)
	}
	return b.String()
}

func (r result) numbers() string {
	if r.Skipped != "" {
		return r.Skipped
	}
	parts := make([]string, len(r.Figures))
	for i, f := range r.Figures {
		parts[i] = f.Name + " " + f.Value
	}
	return strings.Join(parts, ", ")
}

// report is a whole run of the harness.
type report struct {
	Version string   `json:"version"`
	Command string   `json:"command"`
	Full    bool     `json:"full"`
	Seconds float64  `json:"seconds"` // rows run beside each other
	Rows    []result `json:"rows"`
}

// failed returns the rows that do not hold.
func (r report) failed() (rows []result) {
	for _, row := range r.Rows {
		if len(row.Violations) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// explained adds up what explain said in all rows.
func (r report) explained() (sum explained) {
	for _, row := range r.Rows {
		sum.Samples += row.Explained.Samples
		sum.True += row.Explained.True
		sum.Wronged += row.Explained.Wronged
	}
	return sum
}

// explanations returns the sentence and the table of what explain said.
func (r report) explanations() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` at %s: %s explanations came true.\n\n| row | explanations that came true |\n| --- | --- |\n",
		r.Command, r.Version, r.explained())
	for _, row := range r.Rows {
		if row.Explained.Samples > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", row.ID, row.Explained)
		}
	}
	return b.String()
}

// markdown returns the table of docs/reliability.md.
func (r report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` at %s, on %d processors; %.0f minutes:\n\n",
		r.Command, r.Version, runtime.NumCPU(), r.Seconds/60)
	b.WriteString("| row | fault | expected | outcome | figures | took |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.0f s |\n", row.ID, row.Name, row.Expected, row.verdict(),
			strings.ReplaceAll(row.numbers(), "|", "\\|"), row.Seconds)
	}
	return b.String()
}

// The marks around the table in the document.
const (
	tableBegins = "<!-- table: written by make faults -->\n"
	tableEnds   = "<!-- end of table -->\n"

	explainedBegins = "<!-- explained: written by make faults -->\n"
	explainedEnds   = "<!-- end of explained -->\n"
)

// publish writes each part between its marks.
func (r report) publish(path string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, part := range []struct{ begins, text, ends string }{
		{tableBegins, r.markdown(), tableEnds}, {explainedBegins, r.explanations(), explainedEnds},
	} {
		before, rest, ok := bytes.Cut(doc, []byte(part.begins))
		_, after, ok2 := bytes.Cut(rest, []byte(part.ends))
		if !ok || !ok2 {
			return fmt.Errorf("%s has no place %q", path, strings.TrimSpace(part.begins))
		}
		doc = []byte(string(before) + part.begins + "\n" + part.text + "\n" + part.ends + string(after))
	}
	return os.WriteFile(path, doc, 0o600)
}

func (r report) save(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}

// hash turns a name into a number, so that each row has its own dice, whichever rows run before it.
func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}
