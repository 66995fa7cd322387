package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A flag with the tag "secret" has a secret as its value. Each has an environment variable, and also a flag and a
// variable for a file: --token, MILLRACE_TOKEN, --token-file, MILLRACE_TOKEN_FILE.
const (
	secretTag  = "secret"
	fileSuffix = "-file"
	// longestSecret is far above the length of any database URL.
	longestSecret = 64 << 10
)

// secretFiles reads secrets from their files. A file on the command line overrides the environment, like any flag.
func (p *problems) secretFiles(ctx *kong.Context, path *kong.Path, flag *kong.Flag) (any, error) {
	if !flag.Tag.Has(secretTag) {
		return nil, nil //nolint:nilnil // to kong, nil means no value here
	}
	i := slices.IndexFunc(path.Flags, func(f *kong.Flag) bool { return f.Name == flag.Name+fileSuffix })
	file := path.Flags[i]
	name, _ := ctx.FlagValue(file).(string)
	if _, set := os.LookupEnv(flag.Envs[0]); name == "" && !set {
		name = p.settings[file.Envs[0]]
	}
	if name == "" {
		return nil, nil //nolint:nilnil // likewise
	}
	setting := "--" + file.Name
	if _, given := onCommandLine(ctx)[file.Name]; !given {
		if setting = file.Envs[0]; os.Getenv(flag.Envs[0]) != "" {
			p.file[flag.Value] = fmt.Errorf("%s and %s exclude each other", flag.Envs[0], setting)
			return nil, nil //nolint:nilnil // the problem is recorded, and the search continues
		}
	}
	secret, err := readSecret(name)
	if err != nil {
		p.file[flag.Value] = fmt.Errorf("%s: %w", setting, err)
		return nil, nil //nolint:nilnil // likewise
	}
	return secret, nil
}

// readSecret reads a file of one line.
func readSecret(name string) (string, error) {
	file, err := os.Open(name) //nolint:gosec // the operator chose the file
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, longestSecret))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" || len(content) == longestSecret || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s must have one line", name)
	}
	return secret, nil
}

// onCommandLine returns the flags of a command line, by name.
func onCommandLine(ctx *kong.Context) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	for _, path := range ctx.Path {
		if path.Flag != nil && !path.Resolved {
			flags[path.Flag.Name] = path.Flag
		}
	}
	return flags
}

// oneSource returns a problem for each secret that has both a flag for its value and a flag for its file.
func oneSource(ctx *kong.Context) (all []error) {
	flags := onCommandLine(ctx)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if _, both := flags[name+fileSuffix]; both && flags[name].Tag.Has(secretTag) {
			all = append(all, fmt.Errorf("--%s and --%[1]s%s exclude each other", name, fileSuffix))
		}
	}
	return all
}
