package main

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// grammar returns the commands as options of kong: only the one that args name, or all of them if they name none. All
// of them take longer to build than a health check takes.
func (c *commands) grammar(args []string) (options []kong.Option) {
	for field, value := range reflect.ValueOf(c).Elem().Fields() {
		if field.Anonymous {
			continue
		}
		name := cmp.Or(field.Tag.Get("name"), strings.ToLower(field.Name))
		option := kong.DynamicCommand(name, field.Tag.Get("help"), field.Tag.Get("group"), value.Addr().Interface())
		if len(args) > 0 && args[0] == name {
			return []kong.Option{option}
		}
		options = append(options, option)
	}
	return options
}

// environment lists the variables of all commands.
func environment() []string {
	names := variables(reflect.TypeFor[commands]())
	slices.Sort(names)
	return slices.Compact(names)
}

func variables(settings reflect.Type) (names []string) {
	for field := range settings.Fields() {
		if names = append(names, strings.Split(field.Tag.Get("env"), ",")...); field.Type.Kind() == reflect.Struct {
			names = append(names, variables(field.Type)...)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}
