package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/millrace-orders/millrace/orders"
)

const (
	maxReference  = 200 // bytes
	maxRetryAfter = 5 * time.Minute
)

var codePattern = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // the body is not whole, because of this
}

// fields are all fields that an answer may have.
type fields struct {
	State orders.StepState `json:"state"`
	ID    string           `json:"id"`
	Code  string           `json:"code"`
	// Nothing says, of an undo, that what it undoes never took effect.
	Nothing bool `json:"nothing"`
}

// judgeSend says what the answer to a send means. 2xx is done even if the body makes no sense: it would make none
// the next time either. A body that broke off is another matter; a resend brings the same answer whole.
func judgeSend(p orders.Provider, r reply) (Answer, error) {
	f, _ := r.fields()
	switch {
	case isSuccess(r.status) && r.err != nil:
		return Answer{}, r.err
	case isSuccess(r.status):
		return Answer{State: orders.StateSucceeded, Reference: f.reference(), Nothing: f.Nothing}, nil
	case r.status == http.StatusPaymentRequired, r.status == http.StatusUnprocessableEntity:
		return Answer{}, &RefusedError{f.code()}
	}
	return Answer{}, r.failure(p)
}

// judgeAsk says what the answer to a question means. Only a whole answer in the words of the contract settles
// anything. 402 and 422 do not: they would be about the question.
func judgeAsk(p orders.Provider, r reply) (Answer, error) {
	switch {
	case r.status == http.StatusNotFound:
		return Answer{State: orders.StateUnknown}, nil
	case !isSuccess(r.status):
		return Answer{}, r.failure(p)
	case r.err != nil:
		return Answer{}, r.err
	}
	f, err := r.fields()
	switch {
	case err == nil && f.State == orders.StateSucceeded:
		return Answer{State: f.State, Reference: f.reference(), Nothing: f.Nothing}, nil
	case err == nil && f.State == orders.StateRefused:
		return Answer{State: f.State, Code: f.code()}, nil
	}
	return Answer{}, &UnavailableError{Provider: p, Reason: "answer is not of the contract"}
}

func isSuccess(status int) bool { return status/100 == 2 }

// failure classifies a status that is neither done nor refused.
func (r reply) failure(p orders.Provider) error {
	switch r.status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		if class := r.status / 100; class == 3 || class == 4 {
			return &MisconfiguredError{p, r.status}
		}
	}
	return &UnavailableError{
		Provider: p, Reason: fmt.Sprintf("status %d", r.status),
		RetryAfter: retryAfter(r.header.Get("Retry-After")), excused: r.status == http.StatusConflict,
	}
}

// fields reads the body. What it can read of a body that does not fit is not used.
func (r reply) fields() (f fields, err error) {
	if len(r.body) > maxBody || r.err != nil {
		return fields{}, errors.New("body is not whole")
	}
	if err := json.Unmarshal(r.body, &f); err != nil {
		return fields{}, err
	}
	return f, nil
}

// reference returns the provider's id if it can be stored: half an id would be worse than none, and Postgres takes
// no NUL, which would keep the effect itself from being recorded.
func (f fields) reference() string {
	if len(f.ID) > maxReference || strings.ContainsFunc(f.ID, unicode.IsControl) {
		return ""
	}
	return f.ID
}

func (f fields) code() string {
	if !codePattern.MatchString(f.Code) {
		return "refused"
	}
	return f.Code
}

// retryAfter reads the header of RFC 9110, 10.2.3: seconds or a date.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), maxRetryAfter)
	}
	return 0
}
