package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// lenient reads a flag's value. If the value is rejected, lenient records the problem and reads the default instead, so
// that the other settings are still checked. The command does not run.
type lenient struct {
	kong.Mapper
	problems *problems
}

// negative matches values that kong would take for a flag.
var negative = regexp.MustCompile(`^-[0-9]`)

// Decode implements kong.Mapper.
func (m lenient) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	v := ctx.Value
	token := ctx.Scan.Peek()
	text := token.String()
	switch {
	case v.IsBool() && token.Type != kong.FlagValueToken:
		return m.Mapper.Decode(ctx, target)
	case !token.IsValue() && (token.IsEOL() || !negative.MatchString(text)):
		return m.note(ctx, target, fmt.Errorf("the value is missing; use %s", accepts(v)))
	}
	ctx.Scan.Pop()
	value := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: token.Value})
	if err := m.Mapper.Decode(ctx.WithScanner(value), target); err == nil && acceptable(v, text) {
		return nil
	}
	if isSecret(v, text) {
		return m.note(ctx, target, fmt.Errorf("the value is not accepted; use %s", accepts(v)))
	}
	return m.note(ctx, target, fmt.Errorf("%q is not accepted; use %s", text, accepts(v)))
}

// isSecret reports whether a value must not be shown: a URL may contain a password.
func isSecret(v *kong.Value, text string) bool {
	return v.Tag.Has(secretTag) || kindOf(v).placeholder == "URL" && strings.ContainsAny(text, "@?#")
}

// note records a problem under the name that the operator set the value by, and reads the default.
func (m lenient) note(ctx *kong.DecodeContext, target reflect.Value, problem error) error {
	v := ctx.Value
	name, at := v.ShortSummary(), m.problems.line
	if v.Target.CanAddr() && target.CanAddr() && v.Target.Addr().Pointer() == target.Addr().Pointer() {
		at = m.problems.env
		for _, env := range slices.Backward(v.Tag.Envs) {
			if _, set := os.LookupEnv(env); set {
				name = env
			}
		}
	}
	at[v] = fmt.Errorf("%s: %w", name, problem)
	target.SetZero()
	if !v.HasDefault {
		return nil
	}
	return m.Mapper.Decode(ctx.WithScanner(kong.ScanFromTokens(
		kong.Token{Type: kong.FlagValueToken, Value: v.Default})), target)
}

type lenientBool struct{ lenient }

// IsBool implements kong.BoolMapper: such a flag needs no value.
func (lenientBool) IsBool() bool { return true }
