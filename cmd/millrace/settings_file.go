package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const settingsFlag = "settings-file"

// settingsIn resolves a setting from the settings file. Flags and the environment override the file.
func (p *problems) settingsIn(ctx *kong.Context, path *kong.Path, flag *kong.Flag) (any, error) {
	if len(flag.Envs) == 0 || flag.Name == settingsFlag {
		return nil, nil //nolint:nilnil // to kong, nil means no value here
	}
	i := slices.IndexFunc(path.Flags, func(f *kong.Flag) bool { return f.Name == settingsFlag })
	if i < 0 {
		return nil, nil //nolint:nilnil // likewise
	}
	p.readSettings(ctx, path.Flags[i])
	value, found := p.settings[flag.Envs[0]]
	if _, set := os.LookupEnv(flag.Envs[0]); set || !found {
		return nil, nil //nolint:nilnil // likewise
	}
	p.resolved[flag.Value] = true
	return value, nil
}

// readSettings reads the file once, and records what is wrong with it.
func (p *problems) readSettings(ctx *kong.Context, flag *kong.Flag) {
	name, _ := ctx.FlagValue(flag).(string)
	if name == "" || p.settings != nil {
		return
	}
	p.settings = map[string]string{}
	content, err := os.ReadFile(name) //nolint:gosec // the operator chose the file
	if err != nil {
		p.file[flag.Value] = fmt.Errorf("--%s: %w", settingsFlag, err)
		return
	}
	known := environment()
	for number, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		variable, value, ok := strings.Cut(line, "=")
		if variable = strings.TrimSpace(variable); !ok || !slices.Contains(known, variable) {
			p.file[flag.Value] = fmt.Errorf("--%s: line %d of %s is not NAME=value with the name of a setting", settingsFlag,
				number+1, name)
			return
		}
		p.settings[variable] = unquoted(strings.TrimSpace(value))
	}
}

// unquoted removes the quotes around a value, which systemd and shells allow.
func unquoted(value string) string {
	for _, quote := range []string{`"`, `'`} {
		if len(value) > 1 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return value[1 : len(value)-1]
		}
	}
	return value
}
