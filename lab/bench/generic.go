package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	placeholder = regexp.MustCompile(`\$(\d+)`)
	planned     = regexp.MustCompile(`(?m)^(SELECT|INSERT|UPDATE|DELETE|WITH)\b`)
)

// generic asks Postgres for its generic plans of the queries that did not run. dir has the Go code of the queries.
func (d *database) generic(ctx context.Context, dir string, seen plans) (plans, error) {
	sql, err := queryTexts(dir)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan"); err != nil {
		return nil, err
	}
	found := plans{}
	for name, text := range sql {
		if _, ran := seen[name]; ran {
			continue
		}
		if !planned.MatchString(text) {
			found[name] = plan{planless: true}
			continue
		}
		lines, err := genericPlan(ctx, conn, name, text)
		if err != nil {
			return nil, fmt.Errorf("explain %s: %w", name, err)
		}
		found[name] = plan{text: planOf(lines), generic: true}
	}
	return found, nil
}

func genericPlan(ctx context.Context, conn *pgx.Conn, name, sql string) ([]string, error) {
	if _, err := conn.Exec(ctx, "PREPARE "+name+" AS "+sql); err != nil {
		return nil, err
	}
	var most int
	for _, n := range placeholder.FindAllStringSubmatch(sql, -1) {
		i, _ := strconv.Atoi(n[1])
		most = max(most, i)
	}
	execute := "EXPLAIN EXECUTE " + name
	if most > 0 {
		execute += "(" + strings.Join(slices.Repeat([]string{"NULL"}, most), ", ") + ")"
	}
	rows, err := conn.Query(ctx, execute, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// queryTexts reads the texts of the queries from the generated Go code, by name.
func queryTexts(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql.go"))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if name := queryName.FindStringSubmatch(text); err == nil && name != nil {
				found[name[1]] = text
			}
			return true
		})
	}
	return found, nil
}
