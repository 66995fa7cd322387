package orders_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

func TestCheckCustomerID(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(orders.CustomerIDPattern)
	for _, good := range []string{
		"1", "alice", "Ada Lovelace", "a  b", "...", ".a", "a.", "a..", "..a", ".a.", "a/../b", "%2e%2e", "é", "e\u0301", "김",
		"𝕏", "😀", "it's", `"`, `\`, "'; DROP TABLE orders; --", "user@example.com", "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e",
		strings.Repeat("é", orders.MaxTextLength),
	} {
		require.Empty(t, orders.CheckCustomerID(good), "%q", good)
		require.Regexp(t, pattern, good)
	}
	for name, bad := range map[string]string{
		"empty": "", "blank": " ", "blanks": "   ", "leading": " a", "trailing": "a ", "dot": ".", "dots": "..",
		"nul": "a\x00b", "newline": "a\nb", "tab": "a\tb", "escape": "a\x1b[2Jb", "delete": "a\x7f", "c1": "a\u0085b",
		"zero-width space": "a\u200bb", "zero-width joiner": "a\u200db", "word joiner": "a\u2060b", "bom": "\ufeffa",
		"soft hyphen": "a\u00adb", "override": "a\u202eb", "isolate": "a\u2066b", "mark": "a\u200fb",
		"no-break space": "a\u00a0b", "ideographic space": "\u3000", "line separator": "a\u2028b",
		"hangul filler": "\u3164", "half-width filler": "a\uffa0", "choseong filler": "\u115f", "braille blank": "\u2800",
		"variation selector": "a\ufe0f", "tag": "a\U000e0061", "grapheme joiner": "a\u034fb",
		"unassigned": "a\u0378", "noncharacter": "a\ufffe", "private": "a\ue000", "replacement": "a\ufffd",
		"object":    "\ufffc",
		"not UTF-8": "a\xff", "surrogate": "a\xed\xa0\xbd", "long": strings.Repeat("a", orders.MaxTextLength+1),
	} {
		require.NotEmpty(t, orders.CheckCustomerID(bad), name)
	}
}

// FuzzCustomerID: the pattern in the document refuses nothing that is good.
func FuzzCustomerID(f *testing.F) {
	pattern := regexp.MustCompile(orders.CustomerIDPattern)
	for _, seed := range []string{"1", ".", "..", "...", " a", "a ", "a b", ". .", "..a", "\u200b", "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if orders.CheckCustomerID(id) != "" {
			return
		}
		require.True(t, utf8.ValidString(id))
		require.Equal(t, strings.TrimSpace(id), id)
		require.NotContains(t, []string{"", ".", ".."}, id)
		require.Regexp(t, pattern, id)
	})
}

func TestCheckLine(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"", "The bank confirms the release", " a ", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
		"\U0001f468\u200d\U0001f469",
		strings.Repeat("é", orders.MaxTextLength),
	} {
		require.Empty(t, orders.CheckLine(good), "%q", good)
	}
	for _, bad := range []string{
		" ", "\u200b", "\u00a0", "\u3164 ", "a\nb", "a\rb", "a\tb", "a\x00", "a\x1b[31m", "a\u0085b", "a\u2028b", "a\u202eb",
		"a\u2066b", "a\xff", strings.Repeat("é", orders.MaxTextLength+1),
	} {
		require.NotEmpty(t, orders.CheckLine(bad), "%q", bad)
	}
}
