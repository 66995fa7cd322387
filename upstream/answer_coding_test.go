package upstream_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/upstream"
)

func answerWith(w http.ResponseWriter, body string, zip bool) {
	if !zip {
		_, _ = io.WriteString(w, body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = io.WriteString(z, body)
	_ = z.Close()
}

// A coding that Millrace cannot undo, or that is not what it says, hides what the answer is.
func TestCodings(t *testing.T) {
	t.Parallel()

	for _, coding := range []string{"br", "deflate", "zstd", "gzip, gzip", "gzip"} {
		for _, status := range []int{200, 422} {
			c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", coding)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"id":"a-1","code":"x"}`)
			})
			_, err := authorize(t, c)
			if status == 422 {
				require.EqualError(t, err, "refused: refused")
				continue
			}
			require.EqualError(t, err,
				"payment unavailable: answer is not of the contract: body has an unknown content coding")
		}
	}
	c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		answerWith(w, strings.Repeat(" ", 1<<20)+`{"id":"a-1"}`, true) // a small bomb
	})
	_, err := authorize(t, c)
	require.ErrorContains(t, err, "too long")
	c = serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusPaymentRequired)
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"code":"card_declined"}`)
		_ = z.Close()
	})
	_, err = authorize(t, c)
	require.EqualError(t, err, "refused: card_declined")
}
