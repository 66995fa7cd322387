package main

import (
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
)

// parseDuration accepts Go's durations, and days.
func parseDuration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

// durations decodes a setting that is a duration.
func durations(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := parseDuration(text)
	if err != nil {
		return err
	}
	target.SetInt(int64(d))
	return nil
}

// size is a number of bytes.
type size int64

func parseSize(text string) (size, error) {
	n, err := humanize.ParseBytes(text)
	if err == nil && n > math.MaxInt64 {
		err = strconv.ErrRange
	}
	return size(n), err //nolint:gosec // it fits
}

// UnmarshalText reads a size such as 32MiB, or a number of bytes.
func (s *size) UnmarshalText(text []byte) (err error) {
	*s, err = parseSize(string(text))
	return err
}
