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

// wholeKey matches an API key with its secret: operators often have the whole key at hand when they revoke it.
var wholeKey = regexp.MustCompile(`^mr_([a-z2-7]{12})_[0-9A-Za-z]{43}$`)

// hidden moves the secrets of a command line into the environment. Every user of the machine can read the command line,
// but only the process's own user can read the environment. found is false if there are no secrets. It is also false if
// the command line is invalid: that process ends at once.
func hidden(args, environ []string) (visible, moved []string, found bool) {
	parser, problems, err := newParser(new(commands), args, io.Discard, io.Discard)
	if err != nil {
		return args, environ, false
	}
	trace, err := kong.Trace(parser, args)
	if err != nil || trace.Error != nil || len(problems.line) > 0 || len(oneSource(trace)) > 0 {
		return args, environ, false
	}
	secrets := onCommandLine(trace)
	maps.DeleteFunc(secrets, func(_ string, flag *kong.Flag) bool { return !flag.Tag.Has(secretTag) })
	lists := map[string]string{} // flags that may be repeated, by variable
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
		if earlier, repeated := lists[env]; repeated {
			value = earlier + "," + value
		}
		if flag.IsSlice() {
			lists[env] = value
		}
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
