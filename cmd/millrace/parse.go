package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// problems collects all problems of values. kong would report only the first one.
type problems struct {
	line map[*kong.Value]error // on the command line
	env  map[*kong.Value]error // in the environment
	file map[*kong.Value]error // with the file of a secret, or with the settings file

	settings map[string]string    // in the settings file, by variable; nil if it was not read
	resolved map[*kong.Value]bool // from the settings file
}

// relax makes a parser lenient, except for lists of arguments and the two flags that only print.
func (p *problems) relax(parser *kong.Kong) error {
	return kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		switch v, ok := node.(*kong.Value); {
		case !ok, v.Flag == nil && v.IsCumulative(), v.Name == "help", v.Name == "version":
		case v.IsBool():
			v.Mapper = lenientBool{lenient{v.Mapper, p}}
		default:
			v.Mapper = lenient{v.Mapper, p}
		}
		return next(nil)
	})
}

// all returns the problems of the chosen command, in the order of its flags, and the names of these flags.
func (p *problems) all(ctx *kong.Context) (all []error, flags []string) {
	given := onCommandLine(ctx)
	for _, path := range ctx.Path {
		if err := p.line[path.Positional]; err != nil {
			all = append(all, err)
		}
		for _, flag := range path.Flags {
			at := p.env
			if _, ok := given[flag.Name]; ok || p.resolved[flag.Value] {
				at = p.line
			}
			for _, problems := range []map[*kong.Value]error{at, p.file} {
				if err := problems[flag.Value]; err != nil && !slices.Contains(flags, flag.Name) {
					all, flags = append(all, err), append(flags, flag.Name)
				}
			}
		}
	}
	return all, flags
}

// settingsError lists all problems of the command line and the environment.
type settingsError struct {
	command  string // whose help lists the flags
	problems []error
}

func (e settingsError) Error() string {
	if len(e.problems) == 1 {
		return e.problems[0].Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d problems:", len(e.problems))
	for _, problem := range e.problems {
		text.WriteString("\n  " + problem.Error())
	}
	return text.String()
}

func (e settingsError) Unwrap() []error { return e.problems }

// errNoCommand means that the command line names a group of commands, or nothing, instead of a command.
var errNoCommand = errors.New("no command")

var (
	unknownFlag   = regexp.MustCompile(`^unknown flag (--?[^\s,=]+)`)
	strayArgument = regexp.MustCompile(`^unexpected argument (\S+)`)
)

// parse reads a command line and the environment. It reports all problems at once: it skips an unknown flag and the
// value that such a flag seems to have.
func parse(build func() (*kong.Kong, *problems, error), args []string) (*kong.Context, error) {
	var found []error
	for {
		parser, problems, err := build()
		if err != nil {
			return nil, err
		}
		ctx, err := parser.Parse(args)
		failed, _ := errors.AsType[*kong.ParseError](err)
		if failed == nil && err != nil {
			return nil, err
		}
		if failed == nil {
			failed = &kong.ParseError{Context: ctx}
		}
		if err != nil {
			unknown, stray := unknownFlag.FindStringSubmatch(err.Error()), strayArgument.FindStringSubmatch(err.Error())
			var rest []string
			switch {
			case unknown != nil:
				found = append(found, elsewhere(unknown[1], err))
				rest = remaining(args, unknown[1])
			case stray != nil && len(found) > 0:
				rest = remaining(args, stray[1])
			}
			if rest != nil {
				args = rest
				continue
			}
		}
		selected := chosen(failed.Context)
		if len(found) == 0 && len(selected.Children) > 0 && err != nil && strayArgument.FindString(err.Error()) == "" {
			return nil, errNoCommand
		}
		if found = append(found, problems.check(failed.Context, err)...); len(found) > 0 {
			return nil, settingsError{selected.FullPath(), found}
		}
		return ctx, nil
	}
}

// chosen returns the chosen command; the application itself if there is none.
func chosen(ctx *kong.Context) *kong.Node {
	if selected := ctx.Selected(); selected != nil {
		return selected
	}
	return ctx.Model.Node
}

// remaining returns the arguments without one of them; nil if that one is missing.
func remaining(args []string, argument string) []string {
	i := slices.IndexFunc(args, func(arg string) bool { return arg == argument || strings.HasPrefix(arg, argument+"=") })
	if i < 0 {
		return nil
	}
	return slices.Delete(slices.Clone(args), i, i+1)
}
