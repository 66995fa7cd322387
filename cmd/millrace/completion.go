package main

import (
	_ "embed"
	"io"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

// completionCommand prints a script that completes commands, flags and values in a shell. The script is complete: it
// does not call millrace, so no secret of an unfinished command line becomes an argument of another process.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell to complete in: bash, zsh or fish."`
}

//go:embed completion.bash
var bashCompletion string

//go:embed completion.zsh
var zshCompletion string

//go:embed completion.fish
var fishCompletion string

// Run prints the script.
func (c *completionCommand) Run(p *process) error {
	parser, _, err := newParser(new(commands), nil, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	text := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	functions := template.FuncMap{"quote": quote, "escape": escape, "join": strings.Join}
	script, err := template.New(c.Shell).Funcs(functions).Parse(text)
	if err != nil {
		return err
	}
	return script.Execute(p.stdout, completions(parser.Model.Node))
}

// completion is what can follow a command.
type completion struct {
	Path     string // such as "keys create"; empty for millrace itself
	Parent   string
	Name     string
	Help     string
	Commands []completion
	Flags    []completionValue
	Words    []string // of the first argument
}

// Names lists the commands below this one.
func (c completion) Names() (names []string) {
	for _, command := range c.Commands {
		names = append(names, command.Name)
	}
	return names
}

// All lists this command and all commands below it.
func (c completion) All() []completion {
	all := []completion{c}
	for _, command := range c.Commands {
		all = append(all, command.All()...)
	}
	return all
}

// Function returns the name of a shell function for this command.
func (c completion) Function() string {
	return strings.ReplaceAll(strings.TrimSpace("_millrace "+c.Path), " ", "_")
}

// completionValue is a flag.
type completionValue struct {
	Name  string
	Help  string
	Takes string // the placeholder of its value; empty if it takes none
	Words []string
	File  bool
}

// completions returns what can follow a command, and the commands below it.
func completions(node *kong.Node) completion {
	c := completion{Path: node.Path(), Name: node.Name, Help: node.Help}
	if node.Parent != nil {
		c.Parent = node.Parent.Path()
	}
	for _, flags := range node.AllFlags(true) {
		for _, flag := range flags {
			v := completionValue{Name: flag.Name, Help: flag.Help}
			if !flag.IsBool() {
				v.Takes = kindOf(flag.Value).placeholder
				v.Words, v.File = words(flag.Value), v.Takes == "FILE" || v.Takes == "DIRECTORY"
			}
			c.Flags = append(c.Flags, v)
			if flag.Tag.Negatable != "" {
				c.Flags = append(c.Flags, completionValue{Name: "no-" + flag.Name, Help: flag.Help})
			}
		}
	}
	for _, child := range node.Children {
		c.Commands = append(c.Commands, completions(child))
	}
	switch {
	case len(node.Positional) > 0 && node.Positional[0].Enum != "":
		c.Words = words(node.Positional[0])
	case node.Name == "help" && node.Parent != nil:
		c.Words = completion{Commands: siblings(node)}.Names()
	}
	return c
}

func siblings(node *kong.Node) (all []completion) {
	for _, child := range node.Parent.Children {
		if child != node {
			all = append(all, completion{Name: child.Name})
		}
	}
	return all
}

// words lists the values of a setting, if they can be listed.
func words(v *kong.Value) []string {
	switch k := kindOf(v); {
	case v.Enum != "":
		return choices(v)
	case k.placeholder == "LEVEL":
		return []string{"DEBUG", "INFO", "WARN", "ERROR"}
	case k.placeholder == "CHECK":
		return checkNames()
	default:
		return nil
	}
}

// quote makes a text safe between single quotes in any of the shells.
func quote(text string) string { return strings.NewReplacer("'", "’", "\\", "").Replace(text) }

// escape is quote for zsh, where a colon and brackets have a meaning.
func escape(text string) string {
	return strings.NewReplacer("[", "(", "]", ")", ":", "\\:").Replace(quote(text))
}
