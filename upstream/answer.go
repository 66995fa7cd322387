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

// reply is an HTTP answer.
type reply struct {
	status int
	header http.Header
	body   []byte // decoded
	err    error  // why the body is incomplete or unreadable
}

// judgeSend interprets the answer to a send. Only an answer in the contract's words means done. A proxy's page, or a
// payment that is still pending, leaves the outcome unknown. A refusal is in the status: it needs no body.
func judgeSend(p orders.Provider, o call, r reply) (Answer, error) {
	switch r.status {
	case http.StatusPaymentRequired, http.StatusUnprocessableEntity:
		m, _ := readMembers(r.body)
		return Answer{}, &RefusedError{m.code()}
	case http.StatusOK, http.StatusCreated:
	default:
		return Answer{}, r.failure(p)
	}
	if r.err != nil {
		return Answer{}, r.err
	}
	m, err := readMembers(r.body)
	if err != nil {
		return Answer{}, unclear(p, "not a JSON object")
	}
	if contradiction := m.contradiction(o); contradiction != "" {
		return Answer{}, unclear(p, contradiction)
	}
	return m.done(), nil
}

// judgeAsk interprets the answer to a question. Only a whole answer in the contract's words settles anything. 402 and
// 422 do not: they would be about the question.
func judgeAsk(p orders.Provider, o call, r reply) (Answer, error) {
	switch {
	case r.status == http.StatusNotFound:
		return Answer{State: orders.StateUnknown}, nil
	case r.status != http.StatusOK:
		return Answer{}, r.failure(p)
	case r.err != nil:
		return Answer{}, r.err
	}
	m, err := readMembers(r.body)
	if err != nil {
		return Answer{}, unclear(p, "not a JSON object")
	}
	switch state, _ := m.text("state"); state {
	case string(orders.StateSucceeded):
		if contradiction := m.contradiction(o); contradiction != "" {
			return Answer{}, unclear(p, contradiction)
		}
		return m.done(), nil
	case string(orders.StateRefused):
		if !m.names("key", o.asked) {
			return Answer{}, unclear(p, "another key")
		}
		return Answer{State: orders.StateRefused, Code: m.code()}, nil
	}
	return Answer{}, unclear(p, "no such state")
}

// unclear returns the error for an answer that violates the contract: the outcome is as unknown as without an answer.
func unclear(p orders.Provider, why string) error {
	return &UnavailableError{Provider: p, Reason: "answer is not of the contract: " + why, Unclear: true}
}

// contradiction returns why an answer does not mean that the step was done; empty if it does. The contract requires
// only the id, and no id from an undo that found nothing. The other members of an answer must not contradict that, nor
// the request.
func (m members) contradiction(o call) string {
	id, readable := m.text("id")
	nothing, legible := m.flag("nothing")
	switch {
	case !legible, nothing && o.step.Undoes() == "":
		return "nothing was done, or perhaps"
	case !readable, strings.TrimSpace(id) == "" && !nothing:
		return "no id"
	case m.says("error"), m.says("errors"), m.says("code"):
		return "an error"
	case !m.names("state", string(orders.StateSucceeded)), !m.names("status", string(orders.StateSucceeded)):
		return "another state"
	case !m.names("key", o.asked):
		return "another key"
	}
	var sent struct {
		OrderID  string          `json:"orderId"`
		Amount   json.Number     `json:"amount"`
		Currency orders.Currency `json:"currency"`
	}
	if json.Unmarshal(o.sent, &sent) != nil { // nothing was sent, or not by Millrace
		return ""
	}
	if sent.OrderID != "" && !m.names("orderid", sent.OrderID) {
		return "another order"
	}
	if sent.Amount == "" {
		return ""
	}
	amount, readable := m.text("amount")
	if !m.names("currency", string(sent.Currency)) {
		return "another currency"
	}
	if want, err := sent.Currency.Parse(string(sent.Amount)); err == nil && (amount != "" || !readable) {
		if got, err := sent.Currency.Parse(orders.Expand(amount)); err != nil || got != want {
			return "another amount"
		}
	}
	return ""
}

// names reports whether a member is empty or has the wanted value.
func (m members) names(name, want string) bool {
	got, readable := m.text(name)
	return readable && (got == "" || got == want)
}

func (m members) done() Answer {
	id, _ := m.text("id")
	nothing, _ := m.flag("nothing")
	return Answer{State: orders.StateSucceeded, Reference: reference(id), Nothing: nothing}
}

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
		Unclear: r.status/100 == 2,
	}
}

// reference returns the provider's id if it can be stored. Half an id would be worse than a missing one. Postgres
// rejects NUL, which would prevent the effect itself from being recorded.
func reference(id string) string {
	if len(id) > maxReference || strings.ContainsFunc(id, unicode.IsControl) {
		return ""
	}
	return id
}

func (m members) code() string {
	if code, _ := m.text("code"); codePattern.MatchString(code) {
		return code
	}
	return "refused"
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
