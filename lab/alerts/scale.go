package main

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// leastScaled is the shortest threshold of an age, in seconds, that scale divides. Shorter ones stay as they are.
	leastScaled = 300
	// leastWindow is the shortest window that scale makes: a rate needs a few scrapes.
	leastWindow = 3 * time.Second
	// transactionFactor is by how much scale shortens an age that is counted in transactions: a drill has no time for a
	// billion of them.
	transactionFactor = 1000
)

var (
	aged    = regexp.MustCompile(`(_age|_behind|_timestamp)_seconds$`)
	counted = regexp.MustCompile(`_age_transactions$`)
)

// scale returns the same rules with shorter times, for drills. It divides every window and every "for" by factor, and
// every threshold of five minutes or more that an age is compared with. A threshold of an age in transactions it
// divides by a thousand. No window becomes shorter than three seconds. Nothing else changes.
func (f rulesFile) scale(factor int) (rulesFile, error) {
	var scaled rulesFile
	for _, g := range f.Groups {
		kept := group{Name: g.Name}
		for _, r := range g.Rules {
			expr, err := scaleExpr(r.Expr, factor)
			if err != nil {
				return scaled, fmt.Errorf("scale %s%s: %w", r.Record, r.Alert, err)
			}
			r.Expr = expr
			if r.For != "" {
				wait, err := model.ParseDuration(r.For)
				if err != nil {
					return scaled, fmt.Errorf("scale %s: %w", r.Alert, err)
				}
				r.For = shorter(time.Duration(wait), factor).String()
			}
			kept.Rules = append(kept.Rules, r)
		}
		scaled.Groups = append(scaled.Groups, kept)
	}
	return scaled, nil
}

func shorter(d time.Duration, factor int) model.Duration {
	return model.Duration((d / time.Duration(factor)).Round(time.Millisecond))
}

func scaleExpr(text string, factor int) (string, error) {
	expr, err := parse(text)
	if err != nil {
		return "", err
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.MatrixSelector:
			n.Range = max(time.Duration(shorter(n.Range, factor)), leastWindow)
		case *parser.BinaryExpr:
			limit, ok := n.RHS.(*parser.NumberLiteral)
			switch {
			case !ok || !n.Op.IsComparisonOperator() || limit.Val < leastScaled:
			case reads(n.LHS, aged):
				limit.Val /= float64(factor)
			case reads(n.LHS, counted):
				limit.Val /= transactionFactor
			}
		}
		return nil
	})
	return expr.String(), nil
}

// reads reports whether an expression reads a metric of a kind.
func reads(expr parser.Expr, kind *regexp.Regexp) bool {
	return slices.ContainsFunc(metricsOf(expr), kind.MatchString)
}

// parse parses an expression as Prometheus does.
func parse(text string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(text)
}

// metricsOf returns the names of the metrics that an expression reads.
func metricsOf(expr parser.Expr) (names []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			names = append(names, s.Name)
		}
		return nil
	})
	return names
}
