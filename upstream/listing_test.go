package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

func effects(t *testing.T, handler http.HandlerFunc) (all []orders.Effect, err error) {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	err = serve(t, upstream.Config{}, handler).Effects(t.Context(), orders.Payment, at, at.Add(time.Minute),
		func(page []orders.Effect) error {
			all = append(all, page...)
			return nil
		})
	return all, err
}

func TestEffects(t *testing.T) {
	t.Parallel()
	var asked []string
	all, err := effects(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		body := `{"operations":[{"key":"a","orderId":"o","id":7,"amount":99e-1,"currency":"USD",
			"at":"2026-03-01T12:00:00Z"}],"next":"more&more"}`
		if r.URL.Query().Get("cursor") != "" {
			body = `{"operations":[{"key":"b","at":"2026-03-01T12:00:01.5+01:00"}]}`
		}
		_, _ = fmt.Fprint(w, body)
	})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, orders.Effect{
		Provider: orders.Payment, Key: "a", OrderID: "o", Reference: "7", Amount: 990, Currency: orders.USD,
		At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}, all[0])
	require.Equal(t, "b", all[1].Key)
	const first = "GET /payment/operations?limit=100&since=2026-03-01T12%3A00%3A00Z&until=2026-03-01T12%3A01%3A00Z"
	require.Equal(t, []string{
		first, "GET /payment/operations?cursor=more%26more&limit=100&since=2026-03-01T12%3A00%3A00Z&" +
			"until=2026-03-01T12%3A01%3A00Z",
	}, asked)
}

// A page that is too long for Millrace is asked for in smaller pieces, one with a byte order mark and gzip is read.
func TestLongPages(t *testing.T) {
	t.Parallel()
	var asked []string
	long := strings.Repeat("x", 40<<10)
	all, err := effects(t, func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		asked = append(asked, r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		var list []string
		for i := from; i < min(from+limit, 60); i++ {
			list = append(list, fmt.Sprintf(`{"key":"k%d","at":"2026-03-01T12:00:00Z","note":%q}`, i, long))
		}
		next := ""
		if from+limit < 60 {
			next = fmt.Sprintf(`,"next":%d`, from+limit)
		}
		answerWith(w, "\ufeff"+`{"operations":[`+strings.Join(list, ",")+`]`+next+`}`, from%2 == 0)
	})
	require.NoError(t, err)
	require.Len(t, all, 60)
	require.Equal(t, []string{"100", "50", "25", "25", "25"}, asked)
}

// A list that breaks the contract anywhere is refused: an effect that it left out would look as if it had not happened.
func TestEffectsAreWholeOrNone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"NotJSON": `<html>`, "NoOperations": `{}`, "NoKey": `{"operations":[{"at":"2026-03-01T12:00:00Z"}]}`,
		"NoTime":     `{"operations":[{"key":"a"}]}`,
		"NoCurrency": `{"operations":[{"key":"a","at":"2026-03-01T12:00:00Z","amount":1}]}`,
		"BadAmount":  `{"operations":[{"key":"a","at":"2026-03-01T12:00:00Z","amount":1.001,"currency":"USD"}]}`,
		"BadID":      `{"operations":[{"key":"a","at":"2026-03-01T12:00:00Z","id":["x"]}]}`,
		// What parsers disagree about. Go's own would mix the first list's effect into the second's.
		"Twice": `{"operations":[{"key":"a","id":"1","amount":1,"currency":"USD","at":"2026-03-01T12:00:00Z"}],` +
			`"operations":[{"key":"b","at":"2026-03-01T12:00:00Z"}]}`,
		"TwiceInAnyCase": `{"operations":[{"key":"a","at":"2026-03-01T12:00:00Z"}],"Operations":[]}`,
		"AmountTwice":    `{"operations":[{"key":"a","at":"2026-03-01T12:00:00Z","amount":1,"amount":2,"currency":"USD"}]}`,
		"Continued":      `{"operations":[]}{"operations":[]}`,
		"Endless":        `{"operations":[],"next":"again"}`,
		"TooLong":        `{"operations":[]}` + strings.Repeat(" ", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := effects(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) })
			unavailable, ok := errors.AsType[*upstream.UnavailableError](err)
			require.True(t, ok, err)
			require.Contains(t, unavailable.Reason, "is not of the contract: ")
		})
	}
	for _, status := range []int{http.StatusNotFound, http.StatusNotImplemented} {
		_, err := effects(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		require.ErrorIs(t, err, upstream.ErrNoListing)
	}
	_, err := effects(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	require.True(t, upstream.IsFailure(err), err)
}
