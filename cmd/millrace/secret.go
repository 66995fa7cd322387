package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

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

// wholeKey matches an API key with its secret: operators often have the whole key at hand when they revoke it.
var wholeKey = regexp.MustCompile(`^mr_([a-z2-7]{12})_[0-9A-Za-z]{43}$`)

// hidden moves the secrets of a command line into the environment. Every user of the machine can read the command line,
// but only the process's own user can read the environment. found is false if there are no secrets. It is also false if
// the command line is invalid: that process ends at once.
func hidden(args, environ []string) (visible, moved []string, found bool) {
	parser, problems, err := newParser(new(commands), io.Discard, io.Discard)
	if err != nil {
		return args, environ, false
	}
	trace, err := kong.Trace(parser, args)
	if err != nil || trace.Error != nil || len(problems.line) > 0 || len(oneSource(trace)) > 0 {
		return args, environ, false
	}
	secrets := onCommandLine(trace)
	maps.DeleteFunc(secrets, func(_ string, flag *kong.Flag) bool { return !flag.Tag.Has(secretTag) })
	for i := 0; i < len(args); i++ {
		name, value, inOne := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		flag, secret := secrets[name]
		switch key := wholeKey.FindStringSubmatch(args[i]); {
		case key != nil:
			visible, found = append(visible, key[1]), true
			continue
		case !secret || !strings.HasPrefix(args[i], "--"):
			visible = append(visible, args[i])
			continue
		case !inOne:
			i++
			value = args[i]
		}
		if (name == databaseURLFlag || name == listenURLFlag) && !hasPassword(value) {
			visible = append(visible, "--"+name+"="+value)
			continue
		}
		env := flag.Envs[0]
		environ = slices.DeleteFunc(slices.Clone(environ), func(s string) bool {
			return strings.HasPrefix(s, env+"=") || strings.HasPrefix(s, env+"_FILE=")
		})
		environ, found = append(environ, env+"="+value), true
	}
	return visible, environ, found
}

const (
	databaseURLFlag = "database-url"
	listenURLFlag   = "listen-url"
)

// hasPassword reports whether a database URL contains a password. It errs on the safe side, also for a password that is
// not percent-encoded.
func hasPassword(url string) bool {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 && strings.Contains(rest[:at], ":") {
			return true
		}
	}
	return strings.Contains(strings.ToLower(url), "password")
}

var errNotHidden = errors.New("every user of this machine can read a secret in a flag, and it could not be hidden: " +
	"use its environment variable or its file")

// hideSecrets starts the program again, in the same process, if its command line has a secret. From then on, ps and
// profiles do not find the secret in the command line.
func hideSecrets() error {
	args, environ, found := hidden(os.Args[1:], os.Environ())
	if !found {
		return nil
	}
	path, err := os.Executable()
	if err == nil {
		err = syscall.Exec(path, append([]string{os.Args[0]}, args...), environ) //nolint:gosec // the same program
	}
	return fmt.Errorf("%w (%w)", errNotHidden, err)
}
