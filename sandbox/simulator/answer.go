package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const maxBody = 1 << 20

// answer is the answer to a call.
type answer struct {
	status int // 0: the connection is dropped without an answer
	body   any
}

var dropped = answer{} //nolint:gochecknoglobals // a constant; Go has none of this type

func ok(body any) answer { return answer{http.StatusOK, body} }

func problem(status int, code, detail string) answer {
	return answer{status, struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{code, detail}}
}

func badRequest(err error) answer {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return problem(http.StatusRequestEntityTooLarge, "too_large", "the body may have 1 MiB")
	}
	return problem(http.StatusBadRequest, "bad_request", strings.ReplaceAll(err.Error(), "\n", "; "))
}

func handle(f func(*http.Request) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		a := f(r)
		if a.status == 0 {
			panic(http.ErrAbortHandler) // how net/http closes the connection without logging a panic
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(a.body) // an error means that the client has left
	})
}

// decode reads one JSON value and nothing else. A field that the contract does not have is an error: if it were
// ignored, a mistake would only show at the real provider.
func decode(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is not as it should be: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body goes on after its JSON value")
	}
	return nil
}

func decodeRequest(r *http.Request, into any) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	return decode(b, into)
}
