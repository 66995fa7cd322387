package main

import (
	"encoding/json"
	"os"
	"slices"
	"sync"
	"time"
)

// The kinds of operations.
const (
	opPlace  = "place"
	opCancel = "cancel"
	opRefund = "refund"
	opRead   = "read" // after the run, by an instance that has nothing in its cache
)

// operation is one request and its answer, as the customer saw them.
type operation struct {
	Kind     string `json:"kind"`
	Order    string `json:"order"` // the key under which it was placed: what is known of it from the start
	Key      string `json:"key"`
	Call     int64  `json:"call"`   // ns since the run began
	Return   int64  `json:"return"` // likewise
	Code     int    `json:"code"`   // the HTTP status; 0: no answer
	Replayed bool   `json:"replayed,omitempty"`
	answer
}

// answer is the part of an answer that the customer uses.
type answer struct {
	ID      string `json:"orderId"`
	Status  string `json:"status"`
	Version int64  `json:"version"`
}

// answered reports whether the customer has a final answer. After any other answer, including 5xx and 429, it sends the
// request again.
func (o operation) answered() bool {
	return o.Code/100 == 2 || o.Code/100 == 4 && o.Code != 408 && o.Code != 409 && o.Code != 429 ||
		o.Code == 409 && o.Kind != opPlace
}

func (o operation) accepted() bool { return o.Code/100 == 2 }

// journal is a file of all requests and answers of the customers.
type journal struct {
	start time.Time
	mu    sync.Mutex
	file  *os.File
	all   []operation
}

func newJournal(path string) (*journal, error) {
	file, err := os.Create(path)
	return &journal{start: time.Now(), file: file}, err
}

func (j *journal) now() int64 { return int64(time.Since(j.start)) }

func (j *journal) write(o operation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, o)
	_ = json.NewEncoder(j.file).Encode(o) // for people; the checks use all
}

func (j *journal) operations() []operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.all)
}
