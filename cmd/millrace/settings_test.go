package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// internals are words of Go, of its libraries and of kong that mean nothing to an operator.
var internals = regexp.MustCompile(
	`strconv|parse "|netip|slog|ParsePrefix|invalid syntax|reflect|time:|unmarshal|EOL|envar|bool value|bit int|0x|nil`)

// settingsProblems returns what a command line is refused with.
func settingsProblems(t *testing.T, args ...string) []string {
	t.Helper()
	_, err := parseOrPrint(new(commands), args, io.Discard, io.Discard) // a command that is accepted would run on
	wrong, ok := errors.AsType[settingsError](err)
	require.True(t, ok, "%v: %v", args, err)
	require.Equal(t, 2, exitStatus(err))
	require.NotRegexp(t, internals, err.Error())
	lines := make([]string, len(wrong.problems))
	for i, problem := range wrong.problems {
		lines[i] = problem.Error()
		require.NotContains(t, lines[i], "\n")
	}
	return lines
}

// about returns the lines that begin with a name.
func about(lines []string, name string) (found []string) {
	for _, line := range lines {
		if strings.HasPrefix(line, name+": ") {
			found = append(found, line)
		}
	}
	return found
}

// TestBadValues gives every flag of every command values that no setting of its kind accepts: one line names the flag,
// the value and what is accepted.
func TestBadValues(t *testing.T) {
	t.Parallel()
	bad := map[string][]string{
		"DURATION":  {"soon", "5", "1x", "", "99999999999d", "-1s"},
		"NUMBER":    {"many", "1.5", "99999999999999999999", "", "1e3"},
		"SIZE":      {"big", "12XB", "-1", "99999999999GiB"},
		"LEVEL":     {"LOUD", ""},
		"NETWORK":   {"10.0.0.1", "10.0.0.0/99", "proxy", "10.0.0.0/8,proxy"},
		"HOST:PORT": {"nowhere", "1.2.3.4", "127.0.0.1:http", ":99999", "http://127.0.0.1:1"},
		"URL":       {"pay.example", "ftp://pay.example", "http://", "://", "%zz"},
		"ORIGIN":    {"shop.example", "https://shop.example/", "https://*.example", "https://a.example,b"},
		"SENDER":    {"shop", "@"},
		"CHECK":     {"nonsense", "leader,nonsense"},
		"DIRECTORY": {"/none/such"},
		"":          {"perhaps"}, // a switch
	}
	tried, seen := map[string]bool{}, map[string]bool{}
	for _, command := range commandLineModel(t).Leaves(true) {
		args := strings.Fields(command.Path())
		var lines [][]string // command lines: the first has the first value of every flag, and so on
		var wants []map[string]string
		add := func(i int, name, arg, want string) {
			if i == len(lines) {
				lines, wants = append(lines, args), append(wants, map[string]string{})
			}
			lines[i] = append(slices.Clip(lines[i]), arg)
			wants[i][name] = want
		}
		for _, flag := range command.Flags {
			placeholder := kindOf(flag.Value).placeholder
			values := bad[placeholder]
			if flag.Enum != "" {
				values = []string{"nonsense", "", "JSON"}
			}
			if flag.Tag.Type == "path" || flag.Tag.Has(secretTag) { // a path may be made, and any text is a secret
				continue
			}
			definition := flag.Name + flag.Tag.Get("min") + flag.Tag.Get("max") + flag.Enum + placeholder
			if seen[definition] { // commands share it
				continue
			}
			seen[definition] = true
			name, n := "--"+flag.Name, 0
			if !flag.IsBool() {
				add(0, name, name, name+": the value is missing; use "+accepts(flag.Value))
				n++
			}
			for _, value := range values {
				if placeholder == "DURATION" && value == "-1s" && flag.Tag.Get("min") == "" {
					continue
				}
				add(n, name, name+"="+value, `"`+value+`" is not accepted; use `+accepts(flag.Value))
				n++
				tried[placeholder] = true
			}
		}
		for i, line := range lines {
			problems := settingsProblems(t, line...)
			for name, want := range wants[i] {
				found := about(problems, name)
				require.Len(t, found, 1, "%v: %s", line, name)
				require.Contains(t, found[0], want)
			}
		}
	}
	for placeholder := range bad {
		require.True(t, tried[placeholder], "no flag is a %s", placeholder)
	}
}

// TestBounds tries the values beside the bounds of each flag, and those within.
func TestBounds(t *testing.T) {
	t.Parallel()
	bounded := 0
	for _, command := range commandLineModel(t).Leaves(true) {
		for _, flag := range command.Flags {
			for bound, step := range map[string]float64{"min": -1, "max": 1} {
				limit := flag.Tag.Get(bound)
				if limit == "" {
					continue
				}
				bounded++
				require.True(t, acceptable(flag.Value, limit), "--%s=%s", flag.Name, limit)
				beyond := measure(limit) + step
				text := time.Duration(beyond).String()
				if kindOf(flag.Value).placeholder != "DURATION" {
					text = strconv.FormatFloat(beyond, 'f', 0, 64)
				}
				if or := flag.Tag.Get("or"); or == "" || measure(or) != beyond {
					require.False(t, acceptable(flag.Value, text), "--%s=%s", flag.Name, text)
				}
			}
			if or := flag.Tag.Get("or"); or != "" {
				require.True(t, acceptable(flag.Value, or), "--%s=%s", flag.Name, or)
			}
			if flag.HasDefault {
				require.True(t, acceptable(flag.Value, flag.Default), "--%s=%s", flag.Name, flag.Default)
			}
		}
	}
	require.Greater(t, bounded, 50)
}

// TestUnits: days and multiples of bytes are units, beside those of Go.
func TestUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 30 * 24 * time.Hour, "1d12h": 36 * time.Hour, "2w": 14 * 24 * time.Hour, "90s": 90 * time.Second,
		"1.5h": 90 * time.Minute, "1h30m": 90 * time.Minute, "0": 0,
	} {
		d, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, d, text)
	}
	for text, want := range map[string]size{"33554432": 32 << 20, "32MiB": 32 << 20, "1GB": 1e9, "512 KiB": 512 << 10} {
		n, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, n, text)
	}
	var c commands
	_, err := parseOrPrint(&c, []string{"dev", "--keep-events", "30d", "--cache-bytes=1MiB"}, io.Discard, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 30*24*time.Hour, c.Dev.KeepEvents)
	require.Equal(t, size(1<<20), c.Dev.CacheSize)
	require.Equal(t, 7*24*time.Hour, c.Dev.KeepFailedJobs, "a default in days")
}

// TestProblemsOnce: what is wrong is said once, all of it, by the name of what helps, and without secrets.
func TestProblemsOnce(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-t0ken"
	file := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"serv"}, []string{`unknown command "serv", did you mean one of "dev", "serve"?`}},
		{[]string{"bogus"}, []string{`unknown command "bogus"`}},
		{[]string{"version", "extra"}, []string{`version takes no argument "extra"`}},
		{[]string{"openapi", "--formt", "json"}, []string{`unknown flag --formt, did you mean "--format"?`}},
		{[]string{"openapi", "--workers=5"}, []string{"unknown flag --workers: it belongs to dev, serve, work"}},
		{[]string{"openapi", "--token=" + secret}, []string{"unknown flag --token: it belongs to serve, api, work"}},
		{[]string{"completion"}, []string{"<shell> is missing: Shell to complete in: bash, zsh or fish"}},
		{[]string{"completion", "tcsh"}, []string{`<shell>: "tcsh" is not accepted; use bash, zsh or fish`}},
		{
			[]string{"findings", "accept", "bank"},
			[]string{
				`<provider>: "bank" is not accepted; use payment, inventory, shipping or email`,
				"--reason is missing: What you did about it, for the audit log: 1 to 1000 characters",
				`<key> is missing: Key of the finding, as "findings list" prints it`,
				"the database is missing: set DATABASE_URL, --database-url or --database-url-file",
			},
		},
		{
			[]string{
				"work", "--database-url=mysql://" + secret, "--payment-url", "https://u:" + secret + "@pay.example",
				"--token-file", file, "--smtp-url", "smtp://mail.example", "--smtp-user", "u", "--shipping-url=https://s.example",
			},
			[]string{
				"--token-file: " + file + " must have one line",
				"--payment-url: the value is not accepted; use a URL such as https://pay.example/v1, without credentials and query",
				"malformed database URL: it begins with postgres://",
				"the inventory provider is missing: set --inventory-url",
				"the sender of e-mail is missing: set --email-from",
				"--smtp-user and --smtp-password must be set together",
			},
		},
		{
			[]string{"api", "--database-url=postgres://db/shop", "--token", secret, "--token-file", file, "--rate-limit", "-1"},
			[]string{
				`--rate-limit: "-1" is not accepted; use a whole number, at least 0`,
				"--token and --token-file exclude each other",
				"--token must have at least 32 characters",
			},
		},
	} {
		lines := settingsProblems(t, tt.args...)
		require.Equal(t, tt.want, lines, tt.args)
		require.NotContains(t, strings.Join(lines, " "), secret)
	}
}

// TestStrangers: a misspelt variable is named, with the nearest one. Those of other commands, of the client and of
// Kubernetes are left alone.
func TestStrangers(t *testing.T) {
	for name, value := range map[string]string{
		"MILLRACE_WORKRES": "5", "MILLRACE_KEEP_EVENT": "30d", "MILLRACE_TEAPOT_TEMPERATURE": "hot",
		"MILLRACE_SIMULATOR_ANY_ADDR": "of another command", "MILLRACE_URL": "http://127.0.0.1:8080",
		"MILLRACE_API_PORT": "tcp://10.0.0.7:8080",
	} {
		t.Setenv(name, value)
	}
	kubernetes := []string{"MILLRACE_API_PORT: unknown variable"}
	wrong := []string{
		"MILLRACE_KEEP_EVENT: unknown variable; did you mean MILLRACE_KEEP_EVENTS?",
		"MILLRACE_TEAPOT_TEMPERATURE: unknown variable",
		"MILLRACE_WORKRES: unknown variable; did you mean MILLRACE_WORKERS?",
	}
	require.Equal(t, append(kubernetes, wrong...), settingsProblems(t, "api", "--database-url=postgres://db/shop"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	for _, name := range []string{
		"MILLRACE_SERVICE_HOST", "MILLRACE_SERVICE_PORT", "MILLRACE_SERVICE_PORT_HTTP", "MILLRACE_PORT",
		"MILLRACE_PORT_8080_TCP", "MILLRACE_OPS_PORT_8081_TCP_ADDR",
	} {
		t.Setenv(name, "10.0.0.7")
	}
	require.Equal(t, wrong, settingsProblems(t, "api", "--database-url=postgres://db/shop"))
	require.NoError(t, run(t.Context(), []string{"version"}, io.Discard, io.Discard))
}

// flagsOf lists the flags of all commands.
func flagsOf(node *kong.Node) (flags []*kong.Flag) {
	for _, command := range node.Leaves(false) {
		flags = append(flags, command.Flags...)
	}
	return flags
}

// TestEnvironment: a program that knows only its own command knows the variables of all.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	var names []string
	for _, flag := range append(flagsOf(commandLineModel(t).Node), commandLineModel(t).Flags...) {
		names = append(names, flag.Envs...)
	}
	slices.Sort(names)
	require.Equal(t, slices.Compact(names), environment())
}

// TestBadEnvironment: a bad value in the environment is named by its variable.
func TestBadEnvironment(t *testing.T) { //nolint:paralleltest // it sets the environment
	tried, flags := 0, flagsOf(commandLineModel(t).Node)
	for _, flag := range flags {
		if len(flag.Envs) == 0 || flag.Tag.Has(secretTag) || flag.Tag.Type == "path" ||
			kindOf(flag.Value).placeholder == "TEXT" || kindOf(flag.Value).placeholder == "FILE" {
			continue
		}
		t.Setenv(flag.Envs[0], "?bad")
		tried++
	}
	require.Greater(t, tried, 80)
	for _, command := range []string{"serve", "dev", "simulate", "verify"} {
		lines := settingsProblems(t, command)
		for _, flag := range flags {
			name := flag.Envs
			if len(name) > 0 && len(about(lines, name[0])) > 0 {
				require.Contains(t, about(lines, name[0])[0], "not accepted; use "+accepts(flag.Value), command)
				require.Len(t, about(lines, name[0]), 1)
			}
		}
	}
	require.Len(t, about(settingsProblems(t, "serve"), "MILLRACE_WORKERS"), 1)
}
