package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func commandLineModel(t *testing.T) *kong.Application {
	t.Helper()
	parser, _, err := newParser(new(commands), nil, io.Discard, io.Discard)
	require.NoError(t, err)
	return parser.Model
}

// TestHelp: every way that people ask for help is an answer, and none is an error.
func TestHelp(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                  "Usage: millrace <command>",
		"help":              "Usage: millrace <command>",
		"-h":                "Usage: millrace <command>",
		"--help":            "Usage: millrace <command>",
		"help serve":        "Usage: millrace serve [flags]",
		"serve --help":      "Usage: millrace serve [flags]",
		"serve -h":          "Usage: millrace serve [flags]",
		"help keys create":  "Usage: millrace keys create --role=",
		"keys":              "Usage: millrace keys <command>",
		"findings":          "Usage: millrace findings <command>",
		"help help":         "Usage: millrace help [<command> ...]",
		"version":           "millrace dev (go",
		"--version":         "millrace dev (go",
		"serve --version":   "millrace dev (go",
		"help completion":   "source <(millrace completion bash)",
		"help verify":       "millrace verify --deep --json",
		"help findings acc": "",
	} {
		var out bytes.Buffer
		err := run(t.Context(), strings.Fields(line), &out, &out)
		if want == "" {
			require.ErrorContains(t, err, `unknown command "acc"`)
			require.Equal(t, 2, exitStatus(err))
			continue
		}
		require.NoError(t, err, line)
		require.Contains(t, out.String(), want, line)
	}
}

// TestHelpIsWhole: each command has an example, and each flag a sentence, a group if there are many, and its variable.
func TestHelpIsWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	parser, _, err := newParser(new(commands), nil, &out, &out) // one for all: to build it takes longer than to use it
	require.NoError(t, err)
	for _, command := range parser.Model.Leaves(true) {
		if command.Name != "version" && command.Name != "help" {
			require.NotEmpty(t, command.Detail, "%s has no example", command.Path())
		}
		trace, err := kong.Trace(parser, strings.Fields(command.Path()))
		require.NoError(t, errors.Join(err, trace.Error))
		out.Reset()
		require.NoError(t, trace.PrintUsage(false))
		for _, flag := range command.Flags {
			if flag.Hidden {
				continue
			}
			require.Contains(t, out.String(), flag.Name)
			require.Regexp(t, `^[A-Z].*\.$`, flag.Help, flag.Name)
			require.LessOrEqual(t, len(strings.Fields(flag.Help)), 25, flag.Name)
			require.NotRegexp(t, `\b(nobody|everybody|whoever|nevertheless)\b`, flag.Help, flag.Name)
			if len(command.Flags) > 15 && command.Name != "dev" {
				require.True(t, flag.Group != nil || command.Name == "verify", "%s --%s has no group", command.Path(), flag.Name)
			}
			for _, env := range flag.Envs {
				require.Contains(t, out.String(), "[$"+env+"]")
			}
		}
	}
}

// TestExamples: the lines to copy parse.
func TestExamples(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, examples())
	parser, problems, err := newParser(new(commands), nil, io.Discard, io.Discard) // one for all, as above
	require.NoError(t, err)
	for command, text := range examples() {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " > ")
			line, _, _ = strings.Cut(line, "  #")
			line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "source <("), ")")
			if !strings.HasPrefix(line, "millrace ") || strings.HasPrefix(line, "millrace help") {
				continue
			}
			var args []string
			for _, match := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
				args = append(args, match[1]+match[2])
			}
			for _, leaf := range parser.Model.Leaves(true) { // without what the line before gave
				for _, flag := range leaf.Flags {
					flag.Set = false
				}
			}
			trace, err := kong.Trace(parser, args[1:])
			require.NoError(t, errors.Join(err, trace.Error), line)
			require.Empty(t, problems.line, line)
			require.Empty(t, missing(trace), "%s: %s", command, line)
		}
	}
}

// TestSettingsAreDescribed: docs/configuration.md has each flag and each variable, with the default of the program.
func TestSettingsAreDescribed(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	page := string(content)
	rows := map[string]string{}
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "| `--") {
			continue
		}
		flags := strings.Split(line, "|")[1]
		for _, name := range regexp.MustCompile("`--(?:\\[no-\\])?([a-z-]+)`").FindAllStringSubmatch(flags, -1) {
			rows[name[1]] = line
		}
	}
	for _, command := range commandLineModel(t).Leaves(true) {
		for _, flag := range command.Flags {
			if flag.Hidden || strings.HasSuffix(flag.Name, fileSuffix) {
				continue
			}
			require.Contains(t, page, flag.Name)
			for _, env := range flag.Envs {
				require.Contains(t, page, env, flag.Name)
			}
			if row := rows[flag.Name]; row != "" && flag.HasDefault && flag.Name != "data" && flag.Name != "rate-limit" {
				if command.Name == "serve" || command.Name == "dev" && flag.Name != "log-level" {
					require.Contains(t, row, "`"+flag.Default+"`", "the default of --%s", flag.Name)
				}
			}
		}
	}
}

// TestAdvice: after an error, a line says what helps.
func TestAdvice(t *testing.T) {
	t.Parallel()
	advise := func(args ...string) string { return advice(run(t.Context(), args, io.Discard, io.Discard)) }
	require.Equal(t, "See \"millrace keys create --help\".\n", advise("keys", "create"))
	require.Equal(t, "See \"millrace --help\".\n", advise("brew"))
	require.Contains(t, advise("keys", "list", "--database-url=postgres://127.0.0.1:1/none"), "--database-url")
	require.Empty(t, advise("version"))
}
