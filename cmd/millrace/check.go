package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// check returns every problem after kong has parsed, each once. failed is kong's own error, which may contain the
// result of a command's Validate.
func (p *problems) check(ctx *kong.Context, failed error) []error {
	all, flags := p.all(ctx)
	all = append(all, oneSource(ctx)...)
	all = append(all, missing(ctx)...)
	all = append(all, strangers(ctx)...)
	failed, validation := validated(failed)
	for _, problem := range flatten(validation) {
		if !mentions(problem, flags) {
			all = append(all, problem)
		}
	}
	if len(all) == 0 && failed != nil {
		all = append(all, plain(ctx, failed))
	}
	return all
}

// validated separates kong's own error from the result of Validate, which kong wraps.
func validated(err error) (own, validation error) {
	failed, ok := errors.AsType[*kong.ParseError](err)
	if !ok {
		return err, nil
	}
	if wrapped := errors.Unwrap(failed.Unwrap()); wrapped != nil {
		return nil, wrapped
	}
	return failed.Unwrap(), nil
}

// flatten splits joined errors.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, flatten(err)...)
	}
	return all
}

var flagName = regexp.MustCompile(`--([a-z-]+)`)

// mentions reports whether a problem is about a flag that was reported already. A rejected value would otherwise be
// reported as missing, too.
func mentions(problem error, flags []string) bool {
	return slices.ContainsFunc(flagName.FindAllStringSubmatch(problem.Error(), -1), func(match []string) bool {
		return slices.Contains(flags, match[1])
	})
}

// missing returns the flags and arguments that a command needs and did not get.
func missing(ctx *kong.Context) (all []error) {
	for _, path := range ctx.Path {
		for _, flag := range path.Flags {
			if flag.Required && !flag.Set {
				all = append(all, fmt.Errorf("--%s is missing: %s", flag.Name, strings.TrimSuffix(flag.Help, ".")))
			}
		}
	}
	for _, argument := range chosen(ctx).Positional {
		given := slices.ContainsFunc(ctx.Path, func(path *kong.Path) bool { return path.Positional == argument })
		if argument.Required && !given {
			all = append(all, fmt.Errorf("%s is missing: %s", argument.Summary(), strings.TrimSuffix(argument.Help, ".")))
		}
	}
	return all
}

var unexpected = regexp.MustCompile(`^unexpected argument (\S+?)(?:, (did you mean .*))?$`)

// plain rewords kong's own errors.
func plain(ctx *kong.Context, err error) error {
	match := unexpected.FindStringSubmatch(err.Error())
	switch {
	case match == nil:
		return err
	case len(chosen(ctx).Children) == 0:
		return fmt.Errorf("%s takes no argument %q", chosen(ctx).Path(), match[1])
	case match[2] == "":
		return fmt.Errorf("unknown command %q", match[1])
	default:
		return fmt.Errorf("unknown command %q, %s", match[1], match[2])
	}
}

// elsewhere adds to the error about an unknown flag the commands that have a flag of this name.
func elsewhere(flag string, unknown error) error {
	parser, _, err := newParser(new(commands), nil, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	var owners []string
	for _, command := range parser.Model.Leaves(true) {
		if slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return "--"+f.Name == flag && !f.Hidden }) {
			owners = append(owners, command.Path())
		}
	}
	if len(owners) == 0 {
		return errors.New(unknown.Error())
	}
	return fmt.Errorf("unknown flag %s: it belongs to %s", flag, strings.Join(owners, ", "))
}
