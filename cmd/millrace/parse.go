package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// problems collects the values that could not be read. kong would report the first one only.
type problems struct {
	line map[*kong.Value]error // on the command line
	env  map[*kong.Value]error // in the environment, or by default
}

// lenient reads a flag's value. If it cannot, it notes the problem and reads the default instead, so that the rest of
// the settings is still looked at. The command does not run.
type lenient struct {
	kong.Mapper
	problems *problems
}

// Decode is kong's.
func (m lenient) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	err := m.Mapper.Decode(ctx, target)
	if err == nil {
		return nil
	}
	v := ctx.Value
	name := v.ShortSummary()
	at := m.problems.line
	if v.Target.CanAddr() && target.CanAddr() && v.Target.Addr().Pointer() == target.Addr().Pointer() {
		at = m.problems.env
		for _, env := range v.Tag.Envs {
			if _, set := os.LookupEnv(env); set {
				name = env
			}
		}
	}
	at[v] = fmt.Errorf("%s: %w", name, err)
	target.SetZero()
	if !v.HasDefault {
		return nil
	}
	return m.Mapper.Decode(ctx.WithScanner(kong.ScanFromTokens(
		kong.Token{Type: kong.FlagValueToken, Value: v.Default})), target)
}

type lenientBool struct{ lenient }

// IsBool is kong's: such a flag needs no value.
func (lenientBool) IsBool() bool { return true }

// relax makes every flag of a parser lenient.
func relax(parser *kong.Kong) (*problems, error) {
	p := &problems{line: map[*kong.Value]error{}, env: map[*kong.Value]error{}}
	err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name != "help" {
			if m := (lenient{flag.Mapper, p}); flag.IsBool() {
				flag.Mapper = lenientBool{m}
			} else {
				flag.Mapper = m
			}
		}
		return next(nil)
	})
	return p, err
}

// all returns the problems of the command that was chosen, in the order of its flags.
func (p *problems) all(ctx *kong.Context) (all []error) {
	given := onCommandLine(ctx)
	for _, path := range ctx.Path {
		for _, flag := range path.Flags {
			err := p.env[flag.Value]
			if _, ok := given[flag.Name]; ok {
				err = p.line[flag.Value]
			}
			if err != nil && !slices.Contains(all, err) {
				all = append(all, err)
			}
		}
	}
	return all
}

// settingsError is everything that is wrong with the command line and the environment.
type settingsError struct{ error }

func (e settingsError) Unwrap() error { return e.error }

var (
	unknownFlag   = regexp.MustCompile(`^unknown flag (--?[^\s,=]+)`)
	strayArgument = regexp.MustCompile(`^unexpected argument (\S+)`)
)

// parse reads a command line and the environment. It reports all problems at once: it goes on without a flag that
// does not exist, and without the value that such a flag seems to have.
func parse(build func() (*kong.Kong, error), args []string) (*kong.Context, error) {
	var found []error
	for {
		parser, err := build()
		if err != nil {
			return nil, err
		}
		problems, err := relax(parser)
		if err != nil {
			return nil, err
		}
		ctx, err := parser.Parse(args)
		if err != nil {
			unknown, stray := unknownFlag.FindStringSubmatch(err.Error()), strayArgument.FindStringSubmatch(err.Error())
			var rest []string
			switch {
			case unknown != nil:
				found = append(found, err)
				rest = remaining(args, unknown[1])
			case stray != nil && len(found) > 0:
				rest = remaining(args, stray[1])
			}
			if rest != nil {
				args = rest
				continue
			}
			if failed, ok := errors.AsType[*kong.ParseError](err); ok {
				ctx = failed.Context
			}
			found = append(found, err)
		}
		if ctx != nil {
			found = append(found, problems.all(ctx)...)
		}
		if len(found) > 0 {
			return nil, settingsError{errors.Join(found...)}
		}
		return ctx, nil
	}
}

// remaining returns the arguments without one of them; nil if it is not there.
func remaining(args []string, argument string) []string {
	i := slices.IndexFunc(args, func(arg string) bool { return arg == argument || strings.HasPrefix(arg, argument+"=") })
	if i < 0 {
		return nil
	}
	return slices.Delete(slices.Clone(args), i, i+1)
}
