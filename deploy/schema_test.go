//go:build deploy

package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Where the schemas come from: modules that the Go proxy serves, with their checksums.
const (
	kubernetes         = "k8s.io/kubernetes@v1.36.3"
	kubernetesSum      = "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o="
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorSum        = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// module downloads a module without building it, and returns its directory.
func module(t *testing.T, name, sum string) string {
	t.Helper()
	var m struct{ Dir, Sum string }
	require.NoError(t, json.Unmarshal([]byte(output(t, "go", "mod", "download", "-json", name)), &m))
	require.Equal(t, sum, m.Sum, name)
	return m.Dir
}

type object = map[string]any

// kubernetesSchemas writes a JSON schema for each kind of Kubernetes, from its OpenAPI document.
func kubernetesSchemas(t *testing.T, dir string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(module(t, kubernetes, kubernetesSum), "api/openapi-spec/swagger.json"))
	require.NoError(t, err)
	var document struct{ Definitions map[string]object }
	require.NoError(t, json.Unmarshal(content, &document))
	for name, definition := range document.Definitions {
		if strings.HasSuffix(name, ".IntOrString") || strings.HasSuffix(name, ".Quantity") {
			document.Definitions[name] = object{"type": []string{"string", "number"}}
			continue
		}
		tighten(definition)
	}
	for name, definition := range document.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue
		}
		kind := kinds[0].(object)
		group, _, _ := strings.Cut(kind["group"].(string), ".")
		needed := map[string]object{}
		collect(document.Definitions, name, needed)
		writeSchema(t, dir, kind["kind"].(string), group, kind["version"].(string),
			object{"$ref": "#/definitions/" + name, "definitions": needed})
	}
}

// operatorSchemas writes a JSON schema for the kinds of the Prometheus operator.
func operatorSchemas(t *testing.T, dir string) {
	t.Helper()
	from := filepath.Join(module(t, prometheusOperator, operatorSum), "example/prometheus-operator-crd")
	for _, plural := range []string{"servicemonitors", "prometheusrules"} {
		content, err := os.ReadFile(filepath.Join(from, "monitoring.coreos.com_"+plural+".yaml"))
		require.NoError(t, err)
		var definition struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct {
						Schema object `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		require.NoError(t, yaml.Unmarshal(content, &definition))
		for _, version := range definition.Spec.Versions {
			schema := version.Schema.Schema
			tighten(schema)
			schema["properties"].(object)["metadata"] = object{"type": "object"}
			writeSchema(t, dir, definition.Spec.Names.Kind, "monitoring", version.Name, schema)
		}
	}
}

func writeSchema(t *testing.T, dir, kind, group, version string, schema object) {
	t.Helper()
	name := strings.ToLower(kind) + "-" + version
	if group != "" {
		name = strings.ToLower(kind) + "-" + group + "-" + version
	}
	content, err := json.Marshal(schema)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"), content, 0o600))
}

// tighten refuses properties that a schema does not name: to Kubernetes a misspelt field is a field that is not there.
func tighten(v any) {
	switch v := v.(type) {
	case object:
		_, named := v["properties"].(object)
		if _, decided := v["additionalProperties"]; named && !decided && v["x-kubernetes-preserve-unknown-fields"] == nil {
			v["additionalProperties"] = false
		}
		if v["x-kubernetes-int-or-string"] == true {
			delete(v, "anyOf")
			v["type"] = []string{"string", "integer"}
		}
		delete(v, "format")
		delete(v, "pattern") // some are of another dialect
		for _, child := range v {
			tighten(child)
		}
	case []any:
		for _, child := range v {
			tighten(child)
		}
	}
}

// collect finds the definitions that a definition refers to.
func collect(all map[string]object, name string, needed map[string]object) {
	if needed[name] != nil {
		return
	}
	needed[name] = all[name]
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok {
				collect(all, strings.TrimPrefix(ref, "#/definitions/"), needed)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(all[name])
}
