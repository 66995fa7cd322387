package board

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// The functions of this file make texts from values, for people.

// date is a moment for programs.
func date(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// moment is a moment for people; board.js shows its age instead.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }

// clock is a moment of today.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// number groups the digits of a whole number.
func number(n any) string { return humanize.Comma(reflect.ValueOf(n).Int()) }

// count is a number of what is counted up to 100,000.
func count(n int64) string {
	if n >= countMost {
		return number(int64(countMost)) + "+"
	}
	return number(n)
}

// countMost is up to where the store counts orders and steps.
const countMost = 100_000

// counted is a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// seconds is a duration with two digits that matter.
func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s <= 0:
		return "0"
	case s < 1:
		return strconv.FormatFloat(math.Round(s*1000), 'f', 0, 64) + " ms"
	case s < 10:
		return fmt.Sprintf("%.1f s", s)
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	case s < 2*3600:
		return fmt.Sprintf("%.0f min", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%.0f h", s/3600)
	default:
		return fmt.Sprintf("%.0f days", s/86400)
	}
}

// size is a number of bytes.
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// words is a name of the API in plain words.
func words(name any) string { return strings.ReplaceAll(fmt.Sprint(name), "_", " ") }
