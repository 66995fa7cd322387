package main

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// acceptable reports whether a setting accepts a value that its type can hold. An empty value counts as missing.
func acceptable(v *kong.Value, text string) bool {
	if text == "" && v.Enum == "" {
		return true
	}
	k := kindOf(v)
	values := []string{text}
	if v.IsSlice() && v.Tag.Sep != -1 {
		values = strings.Split(text, string(v.Tag.Sep))
	}
	return !slices.ContainsFunc(values, func(value string) bool {
		return k.valid != nil && !k.valid(value) || !inBounds(v, value)
	})
}

func inBounds(v *kong.Value, text string) bool {
	least, greatest := v.Tag.Get("min"), v.Tag.Get("max")
	if least == "" && greatest == "" || v.Tag.Has("or") && measure(text) == measure(v.Tag.Get("or")) {
		return true
	}
	return (least == "" || measure(text) >= measure(least)) && (greatest == "" || measure(text) <= measure(greatest))
}

// measure turns numbers, sizes and durations into comparable numbers.
func measure(text string) float64 {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return float64(n)
	}
	if d, err := parseDuration(text); err == nil {
		return float64(d)
	}
	if n, err := parseSize(text); err == nil {
		return float64(n)
	}
	return math.NaN() // outside any bounds
}

// accepts returns what a setting accepts, with its bounds, to complete "use …".
func accepts(v *kong.Value) string {
	text := kindOf(v).accepts
	switch least, greatest := v.Tag.Get("min"), v.Tag.Get("max"); {
	case least != "" && greatest != "":
		text += fmt.Sprintf(", from %s to %s", least, greatest)
	case least != "":
		text += ", at least " + least
	case greatest != "":
		text += ", at most " + greatest
	}
	if v.Tag.Has("or") {
		text += ", or " + v.Tag.Get("or")
	}
	return text
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == ""
}

func isMailServer(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "smtp" || u.Scheme == "smtps") && u.Hostname() != "" && u.User == nil &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.Scheme+"://"+u.Host == text && !strings.Contains(text, "*")
}

// orList joins words as in "a, b or c".
func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
