package api_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProblemCodes holds the codes that the source makes against those in the document and in docs/problems.md.
func TestProblemCodes(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`problems\.New\(problems\.\w+,\s*"([a-z_]+)"`)
	var inSource []string
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range made.FindAllStringSubmatch(string(source), -1) {
			if m[1] != "client_gone" { // clients never receive it
				inSource = append(inSource, m[1])
			}
		}
	}
	slices.Sort(inSource)
	inSource = slices.Compact(inSource)

	asJSON, err := document()
	require.NoError(t, err)
	var doc struct {
		Components struct {
			Schemas struct {
				ProblemCode struct {
					Enum []string `json:"enum"`
				}
				Problem struct {
					Properties struct {
						Code map[string]string `json:"code"`
					} `json:"properties"`
				}
			} `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(asJSON, &doc))
	require.Equal(t, inSource, doc.Components.Schemas.ProblemCode.Enum)
	require.Equal(t, "#/components/schemas/ProblemCode", doc.Components.Schemas.Problem.Properties.Code["$ref"])

	text, err := os.ReadFile("../docs/problems.md")
	require.NoError(t, err)
	var inDocs []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [0-9]{3}").FindAllStringSubmatch(string(text), -1) {
		inDocs = append(inDocs, m[1])
	}
	slices.Sort(inDocs)
	require.Equal(t, inSource, inDocs)
}
