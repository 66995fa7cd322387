package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// envPrefix is the prefix of Millrace's own variables.
const envPrefix = "MILLRACE_"

// foreign lists variables with the prefix that have no flag: the key of commands that call the API, and a variable that
// the documentation names for users of the client.
func foreign() []string { return []string{keyVariable, "MILLRACE_WEBHOOK_SECRET"} }

// serviceVariable matches the variables that Kubernetes sets for a Service whose name begins with "millrace".
var serviceVariable = regexp.MustCompile(
	`^MILLRACE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// strangers returns a problem for each variable that begins with MILLRACE_ and belongs to no command. A variable of a
// different command is accepted, because all commands share one environment. Commands without settings do not check.
func strangers(ctx *kong.Context) (all []error) {
	if !slices.ContainsFunc(chosen(ctx).Flags, func(f *kong.Flag) bool { return len(f.Envs) > 0 }) {
		return nil
	}
	known := environment()
	_, kubernetes := os.LookupEnv("KUBERNETES_SERVICE_HOST")
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) || slices.Contains(foreign(), name) ||
			strings.HasPrefix(name, envPrefix+"TEST_") || kubernetes && serviceVariable.MatchString(name) {
			continue
		}
		problem := fmt.Errorf("%s: unknown variable", name)
		if nearest := nearest(name, known); nearest != "" {
			problem = fmt.Errorf("%w; did you mean %s?", problem, nearest)
		}
		all = append(all, problem)
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return all
}

// nearest returns the name that a misspelt name is most likely meant for; empty if none is near.
func nearest(name string, names []string) string {
	best, least := "", max(2, len(name)-len(envPrefix))/3+2
	for _, candidate := range names {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
