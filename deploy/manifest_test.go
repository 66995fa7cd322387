//go:build deploy

package deploy

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestManifests validates what kustomize makes of the manifests against the schemas of Kubernetes, strictly.
func TestManifests(t *testing.T) {
	t.Parallel()
	schemas := t.TempDir()
	kubernetesSchemas(t, schemas)
	operatorSchemas(t, schemas)
	tool := []string{"tool", "-modfile=tools/deploy/go.mod"}
	validate := func(manifests string) (string, error) {
		file := filepath.Join(t.TempDir(), "manifests.yaml")
		require.NoError(t, os.WriteFile(file, []byte(manifests), 0o600))
		command := exec.CommandContext(t.Context(), "go", append(tool, "kubeconform", "-strict", "-summary",
			"-schema-location", schemas+"/{{ .ResourceKind }}{{ .KindSuffix }}.json", file)...)
		command.Dir = ".."
		printed, err := command.CombinedOutput()
		return string(printed), err
	}
	manifests := output(t, "go", append(tool, "kustomize", "build", "deploy/kubernetes/example")...)
	printed, err := validate(manifests)
	require.NoError(t, err, printed)
	require.Contains(t, printed, "Invalid: 0, Errors: 0, Skipped: 0", printed)
	for right, wrong := range map[string]string{
		"readOnlyRootFilesystem": "readOnlyRootFileSystem", "maxUnavailable: 0": "maxUnavailable: {}",
		"periodSeconds: 10": `periodSeconds: "often"`, "scaleTargetRef": "scaleTarget", "endpoints:": "endpoint:",
	} {
		require.Contains(t, manifests, right)
		printed, err := validate(strings.Replace(manifests, right, wrong, 1))
		require.Error(t, err, "%s was accepted: %s", wrong, printed)
	}

	kinds := map[string]int{}
	for decoder := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var m struct {
			Kind     string
			Metadata struct{ Namespace string }
			Spec     struct{ Template struct{ Spec podSpec } }
		}
		err := decoder.Decode(&m)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		kinds[m.Kind]++
		if m.Kind != "Deployment" && m.Kind != "Job" {
			continue
		}
		restricted(t, m.Spec.Template.Spec)
	}
	require.Equal(t, map[string]int{
		"Namespace": 1, "ServiceAccount": 1, "ConfigMap": 1, "Secret": 2, "Service": 2, "Deployment": 2, "Job": 1,
		"PodDisruptionBudget": 2, "HorizontalPodAutoscaler": 2, "NetworkPolicy": 1, "ServiceMonitor": 1, "PrometheusRule": 1,
	}, kinds)
}

type podSpec struct {
	AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	SecurityContext              struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []struct {
		Image           string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
	}
}

// restricted checks what the Pod Security Standard "restricted" demands, and a read-only root.
func restricted(t *testing.T, pod podSpec) {
	t.Helper()
	require.False(t, *pod.AutomountServiceAccountToken)
	require.True(t, pod.SecurityContext.RunAsNonRoot)
	require.Equal(t, 65532, pod.SecurityContext.RunAsUser)
	require.Equal(t, "RuntimeDefault", pod.SecurityContext.SeccompProfile.Type)
	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	require.Equal(t, "registry.example/millrace:1.0.0", c.Image)
	require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	require.True(t, c.SecurityContext.ReadOnlyRootFilesystem)
	require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop)
}
