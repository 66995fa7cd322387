package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// completionScript writes the script of a shell to a file.
func completionScript(t *testing.T, shell string) string {
	t.Helper()
	out, _ := millrace(t, "completion", shell)
	name := filepath.Join(t.TempDir(), "completion")
	require.NoError(t, os.WriteFile(name, []byte(out), 0o600))
	return name
}

// TestBashCompletion completes command lines as bash does.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	script := completionScript(t, "bash")
	for line, want := range map[string]string{
		"millrace ser":                                   "serve",
		"millrace keys ":                                 "create list revoke --help --version",
		"millrace keys create --ro":                      "--role",
		"millrace keys create --role ":                   "admin operator viewer service customer",
		"millrace serve --log-format = j":                "json",
		"millrace serve --reconcile-rep":                 "--reconcile-repair",
		"millrace serve --no-re":                         "--no-reconcile-repair",
		"millrace serve --token ":                        "",
		"millrace serve --log-level DEBUG --log-level W": "WARN",
		"millrace verify --skip lea":                     "leader",
		"millrace findings accept pay":                   "payment",
		"millrace orders ":                               "get list cancel settle explain --help --version",
		"millrace orders list --status need":             "needs_attention",
		"millrace orders settle ID --step void":          "void_payment",
		"millrace orders settle ID --outcome ":           "succeeded refused",
		"millrace events tail --type OrderC":             "OrderCreated",
		"millrace completion ":                           "bash zsh fish --help --version",
		"millrace help keys ":                            "",
	} {
		words := strings.Split(line, " ")
		var out bytes.Buffer
		command := exec.CommandContext(t.Context(), "bash", append([]string{
			"-c",
			`source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _millrace; echo "${COMPREPLY[*]}"`, script,
		}, words...)...)
		command.Stdout, command.Stderr = &out, t.Output()
		require.NoError(t, command.Run())
		if line == "millrace help keys " {
			require.Contains(t, out.String(), "serve")
			continue
		}
		require.Equal(t, want, strings.TrimSpace(out.String()), line)
	}
}

// TestFishCompletion completes command lines as fish does, if it is installed.
func TestFishCompletion(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("fish"); err != nil {
		t.Skip("there is no fish")
	}
	script := completionScript(t, "fish")
	for line, want := range map[string]string{
		"millrace ser":                     "serve\tRun the API and the workers.",
		"millrace keys cr":                 "create\tCreate a key and print it, this once.",
		"millrace serve --log-fo":          "--log-format\tFormat of the log. auto is text on a terminal and json elsewhere.",
		"millrace serve --log-format js":   "json\tFormat of the log. auto is text on a terminal and json elsewhere.",
		"millrace findings accept invento": "inventory",
	} {
		command := exec.CommandContext(t.Context(), "fish", "--no-config", "-c", `source $argv[1]; complete -C$argv[2]`,
			script, line)
		command.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := command.Output()
		require.NoError(t, err)
		require.Equal(t, want, strings.TrimSpace(string(out)), line)
	}
}

// TestZshCompletion has zsh check the script, if it is installed, and looks for what completes values.
func TestZshCompletion(t *testing.T) {
	t.Parallel()
	script := completionScript(t, "zsh")
	content, err := os.ReadFile(script)
	require.NoError(t, err)
	for _, want := range []string{
		"#compdef millrace\n", "'serve:Run the API and the workers.'", "create) _millrace_keys_create ;;",
		"'--log-format=[Format of the log. auto is text on a terminal and json elsewhere.]:value:(auto json text)'",
		"'--token-file=[Read that token from a file.]:file:_files'", "'1:argument:(bash zsh fish)'",
	} {
		require.Contains(t, string(content), want)
	}
	if _, err := exec.LookPath("zsh"); err != nil {
		t.Skip("there is no zsh")
	}
	out, err := exec.CommandContext(t.Context(), "zsh", "-f", "-n", script).CombinedOutput()
	require.NoError(t, err, string(out))
}
