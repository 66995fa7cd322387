package api_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	goexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layerOf returns the layer of a file of package api: what all operations share is at the bottom, the resources are
// above it, and at the top is the server, which puts them together.
func layerOf(file string) int {
	switch {
	case strings.HasPrefix(file, "http_"):
		return 0
	case file == "api.go":
		return 2
	default:
		return 1
	}
}

// TestLayers finds files that use a declaration of a higher layer. What all operations share must know none of them, so
// that a new operation changes no file but its own and its resource's.
func TestLayers(t *testing.T) {
	t.Parallel()
	fileSet := token.NewFileSet()
	var files []*ast.File
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range paths {
		if !strings.HasSuffix(path, "_test.go") {
			file, err := parser.ParseFile(fileSet, path, nil, 0)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fileSet, "gc", exported(t))}
	pkg, err := config.Check("api", fileSet, files, info)
	require.NoError(t, err)

	up, all := 0, map[[2]string]bool{}
	for ident, used := range info.Uses {
		_, isMethod := used.(*types.Func)
		if used.Pkg() != pkg || used.Parent() != pkg.Scope() && !isMethod {
			continue
		}
		from, to := fileSet.Position(ident.Pos()).Filename, fileSet.Position(used.Pos()).Filename
		if from == to || all[[2]string{from, to}] {
			continue
		}
		all[[2]string{from, to}] = true
		if layerOf(from) < layerOf(to) {
			up++
			t.Errorf("%s is in a lower layer than %s, and uses its %s", from, to, used.Name())
		}
	}
	require.Greater(t, len(all), len(files), "references were found")
	t.Logf("%d of %d references between files run to a higher layer", up, len(all))
}

// exported opens the compiler's descriptions of the packages that package api imports.
func exported(t *testing.T) importer.Lookup {
	t.Helper()
	const format = "{{.ImportPath}} {{.Export}}"
	out, err := goexec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", format, ".").Output()
	require.NoError(t, err)
	described := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		described[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(described[path]) }
}
