package main

import (
	"log/slog"
	"net/mail"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millrace-orders/millrace/orders"
)

// kind defines the values of a setting. A flag's type chooses its kind, or its tag "kind" does. The tags min and max
// bound numbers, sizes and durations. The tag or allows one value outside these bounds, such as 0 for never.
type kind struct {
	placeholder string            // replaces the value in the help
	accepts     string            // completes "use …"
	valid       func(string) bool // nil if the type alone decides
}

// kindOf returns the kind of a setting.
func kindOf(v *kong.Value) kind {
	t := v.Target.Type()
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch name := v.Tag.Get("kind"); {
	case name != "":
		return namedKind(name)
	case v.Enum != "":
		choices := choices(v)
		return kind{strings.Join(choices, "|"), orList(choices), func(s string) bool {
			return slices.Contains(v.EnumSlice(), s)
		}}
	case strings.HasSuffix(v.Name, fileSuffix):
		return kind{placeholder: "FILE", accepts: "the name of a file"}
	case v.Tag.Type == "existingdir" || v.Tag.Type == "path":
		return kind{placeholder: "DIRECTORY", accepts: "a directory that exists"}
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return kind{placeholder: "DURATION", accepts: "a duration such as 90s, 30m, 12h or 30d"}
	case reflect.TypeFor[time.Time]():
		return kind{placeholder: "TIME", accepts: "a time such as 2026-11-28T14:05:00Z", valid: isTime}
	case reflect.TypeFor[size]():
		return kind{placeholder: "SIZE", accepts: "a size such as 512KiB, 32MiB or 1GiB"}
	case reflect.TypeFor[slog.Level]():
		return kind{placeholder: "LEVEL", accepts: "DEBUG, INFO, WARN or ERROR"}
	case reflect.TypeFor[netip.Prefix]():
		return kind{placeholder: "NETWORK", accepts: "networks such as 10.0.0.0/8,fd00::/8"}
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return kind{placeholder: "NUMBER", accepts: "a whole number"}
	case reflect.Bool:
		return kind{accepts: "true or false"}
	default:
		return kind{placeholder: "TEXT", accepts: "text"}
	}
}

// choices lists the values of a setting that may be given. An empty value stands for a flag that may be left out.
func choices(v *kong.Value) []string {
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

func stepNames() (names []orders.StepName) {
	for _, spec := range orders.Specs() {
		names = append(names, spec.Name)
	}
	return names
}

// listed returns names as kong's tag "enum" has them.
func listed[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ",")
}

// namedKind returns a kind of text that does not follow from a flag's type.
func namedKind(name string) kind {
	switch name {
	case "address":
		return kind{"HOST:PORT", "a host and a port, such as 127.0.0.1:8080 or :8080", isAddress}
	case "url":
		return kind{"URL", "a URL such as https://pay.example/v1, without credentials and query", isBaseURL}
	case "issuer":
		return kind{"URL", "an https URL such as https://login.example, without credentials", isSecureURL}
	case "mailserver":
		return kind{"URL", "smtp://host:587 or smtps://host:465, without credentials", isMailServer}
	case "sender":
		return kind{"SENDER", "a sender such as The Shop <orders@shop.example>", func(s string) bool {
			_, err := mail.ParseAddress(s)
			return err == nil
		}}
	case "origin":
		return kind{"ORIGIN", "sites such as https://shop.example,https://www.shop.example", isOrigin}
	case "moment":
		return kind{"TIME", "a moment such as 2026-11-28T14:00:00Z", func(s string) bool {
			_, err := time.Parse(time.RFC3339, s)
			return err == nil
		}}
	case "database":
		return kind{placeholder: "URL", accepts: "postgres://user:password@host/database"} //nolint:gosec // an example
	case "check":
		names := checkNames()
		return kind{"CHECK", orList(names), func(s string) bool { return slices.Contains(names, s) }}
	case "file":
		return kind{placeholder: "FILE", accepts: "the name of a file"}
	default:
		panic("unknown kind " + name)
	}
}
