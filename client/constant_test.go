package client

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConstants finds values in the API's document for which the client has no constant.
func TestConstants(t *testing.T) {
	t.Parallel()
	enumerated := []string{
		"OrderStatus", "StepName", "StepState", "EventKind", "EventType", "NotificationState", "DeliveryState",
		"WebhookDisabledReason", "WebhookEventType", "SettleAction", "SettleOutcome", "ProblemCode",
	}
	generated := constants(t, "oas/oas_schemas_gen.go", func(spec *ast.ValueSpec) []string {
		if kind, ok := spec.Type.(*ast.Ident); ok && slices.Contains(enumerated, kind.Name) {
			return []string{spec.Names[0].Name}
		}
		return nil
	})
	require.Greater(t, len(generated), 80)
	own, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var named []string
	for _, file := range own {
		named = append(named, constants(t, file, func(spec *ast.ValueSpec) (names []string) {
			for _, value := range spec.Values {
				ast.Inspect(value, func(n ast.Node) bool {
					if s, ok := n.(*ast.SelectorExpr); ok {
						names = append(names, s.Sel.Name)
					}
					return true
				})
			}
			return names
		})...)
	}
	for _, name := range generated {
		if event, ok := strings.CutPrefix(name, "WebhookEventType"); ok && slices.Contains(named, "EventType"+event) {
			continue // a message about an order has its event's type
		}
		require.Contains(t, named, name)
	}
}

// constants collects the constants of a file.
func constants(t *testing.T, file string, find func(*ast.ValueSpec) []string) (found []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	for _, declared := range parsed.Decls {
		group, ok := declared.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			found = append(found, find(spec.(*ast.ValueSpec))...)
		}
	}
	return found
}

// A code that is newer than the client is passed on unchanged.
func TestNewCode(t *testing.T) {
	t.Parallel()
	_, err := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusConflict, "from_the_future")
	}).Cancel(t.Context(), fakeID)
	var problem *Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, "from_the_future", problem.Code)
	require.True(t, IsConflict(err))
	require.Equal(t, "order_not_found", CodeOrderNotFound)
}
