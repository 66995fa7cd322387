package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestEverySecretHasAFile looks at every flag of every command: one whose name speaks of a secret is one, can be given
// in the environment and in a file, and is described.
func TestEverySecretHasAFile(t *testing.T) {
	t.Parallel()
	parser, _, err := newParser(new(commands), nil, io.Discard, io.Discard)
	require.NoError(t, err)
	page, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	speaks := regexp.MustCompile("token|password|secret|credential|private|passphrase|api-key|^database-url$|dsn")
	found := map[string]bool{}
	require.NoError(t, kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		flag, ok := node.(*kong.Flag)
		if !ok {
			return next(nil)
		}
		if speaks.MatchString(flag.Name) && !strings.HasSuffix(flag.Name, fileSuffix) {
			require.True(t, flag.Tag.Has(secretTag), "--%s must have the tag secret", flag.Name)
		}
		if flag.Tag.Has(secretTag) {
			require.Len(t, flag.Envs, 1, flag.Name)
			require.Contains(t, string(page), "`"+flag.Envs[0]+"`")
			found[flag.Name] = true
		}
		return next(nil)
	}))
	require.Len(t, found, 9)
	for _, command := range parser.Model.Leaves(false) {
		flags := map[string]*kong.Flag{}
		for _, group := range command.AllFlags(false) {
			for _, flag := range group {
				flags[flag.Name] = flag
			}
		}
		for name, flag := range flags {
			if flag.Tag.Has(secretTag) {
				require.Contains(t, flags, name+fileSuffix, command.FullPath())
				require.Equal(t, []string{flag.Envs[0] + "_FILE"}, flags[name+fileSuffix].Envs)
			}
		}
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	const plain, withPassword = "postgres://shop@db:5432/shop", "postgres://shop:p@ss/w#rd@db/shop"
	key := "mr_abcdefghijkl_" + strings.Repeat("A", 43)
	for _, tt := range []struct {
		name               string
		args, environ      []string
		visible, wantMoved []string
	}{
		{
			"Nothing",
			[]string{"serve", "--workers", "5"},
			[]string{"A=b"},
			[]string{"serve", "--workers", "5"},
			[]string{"A=b"},
		},
		{
			"Token",
			[]string{"serve", "--token", "t", "--workers=5"},
			[]string{"MILLRACE_TOKEN=old", "MILLRACE_TOKEN_FILE=f", "A=b"},
			[]string{"serve", "--workers=5"},
			[]string{"A=b", "MILLRACE_TOKEN=t"},
		},
		{
			"All", []string{
				"work", "--payment-token=p", "--inventory-token", "i", "--shipping-token=s", "--email-token=e",
				"--smtp-password", "m",
			}, nil, []string{"work"}, []string{
				"MILLRACE_PAYMENT_TOKEN=p", "MILLRACE_INVENTORY_TOKEN=i", "MILLRACE_SHIPPING_TOKEN=s", "MILLRACE_EMAIL_TOKEN=e",
				"MILLRACE_SMTP_PASSWORD=m",
			},
		},
		{
			"Password",
			[]string{"migrate", "--database-url", withPassword},
			nil,
			[]string{"migrate"},
			[]string{"DATABASE_URL=" + withPassword},
		},
		{
			"PasswordInQuery",
			[]string{"dev", "--database-url=postgres://db/shop?user=a&password=b"},
			nil,
			[]string{"dev"},
			[]string{"DATABASE_URL=postgres://db/shop?user=a&password=b"},
		},
		{
			"Keywords",
			[]string{"audit", "--database-url=host=db password=b"},
			nil,
			[]string{"audit"},
			[]string{"DATABASE_URL=host=db password=b"},
		},
		{
			"NoPassword",
			[]string{"migrate", "--database-url", plain},
			nil,
			[]string{"migrate", "--database-url=" + plain},
			nil,
		},
		{
			"Key",
			[]string{"keys", "revoke", key, "mnopqrstuvwx"},
			nil,
			[]string{"keys", "revoke", "abcdefghijkl", "mnopqrstuvwx"},
			nil,
		},
		{"Wrong", []string{"work", "--token", "t"}, nil, []string{"work", "--token", "t", "--tea"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "Wrong" { // its process ends at once, and says what is wrong
				_, _, found := hidden(append(tt.args, "--tea"), nil)
				require.False(t, found)
				return
			}
			visible, moved, found := hidden(tt.args, tt.environ)
			require.Equal(t, tt.visible, visible)
			require.Equal(t, tt.wantMoved, moved)
			require.Equal(t, len(tt.args) != len(visible) && tt.name != "NoPassword" || tt.name == "Key", found)
		})
	}
}

// TestSecretFiles has everything secret in files, named by flags or by the environment.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	write := func(content string) string {
		name := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}
	token := strings.Repeat("secret-", 6)
	url := storetest.URL(t)
	args := without(serveArgs(url, newSimulators(t)), "--database-url")
	environment := []string{"DATABASE_URL_FILE=" + write(url+"\n")}
	m := startProcessWith(t, environment, append(args, "--token-file", write(token))...)
	status, _, _ := do(t, http.MethodGet, m.api+"/api/orders", "", bearer(token)...)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, m.stop())

	var out bytes.Buffer
	for want, args := range map[string][]string{
		"--token and --token-file exclude each other": {"--token", token, "--token-file", write(token)},
		"must have one line":                          {"--token-file", write("\n")},
		"one line":                                    {"--token-file", write(token + "\n" + token)},
		"no such file":                                {"--token-file", "/none"},
		"at least 32 characters":                      {"--token-file", write("short\r\n")},
	} {
		err := run(t.Context(), append([]string{"api", "--database-url", url}, args...), &out, &out)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), token)
	}
}
