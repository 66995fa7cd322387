package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	defaultLevelFor = 15 * time.Minute
	longestLevelFor = 24 * time.Hour
)

// logLevel is the level of a process's log: the configured one, or for a while the one that an operator chose. A chosen
// level ends by itself, because a log at DEBUG that is forgotten fills a disk.
type logLevel struct {
	slog.LevelVar

	mu         sync.Mutex
	configured slog.Level
	until      time.Time   // zero: the configured level is in force
	end        *time.Timer // nil likewise
}

// configure sets the level that the settings have. A level that an operator chose stays in force until its end.
func (l *logLevel) configure(level slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.configured = level; l.until.IsZero() {
		l.Set(level)
	}
}

// choose sets a level for a while.
func (l *logLevel) choose(level slog.Level, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end.Stop()
	}
	l.Set(level)
	l.until = until
	l.end = time.AfterFunc(time.Until(until), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.until.Equal(until) { // another choice may have come first
			l.Set(l.configured)
			l.until, l.end = time.Time{}, nil
		}
	})
}

// levelState is the answer to operators.
type levelState struct {
	Level      slog.Level `json:"level"`
	Configured slog.Level `json:"configured"`
	Until      *time.Time `json:"until,omitempty"`
}

func (l *logLevel) state() levelState {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := levelState{Level: l.Level(), Configured: l.configured}
	if !l.until.IsZero() {
		state.Until = &l.until
	}
	return state
}

// show answers GET /log-level.
func (l *logLevel) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(l.state())
}

// change answers PUT /log-level. The guard has bounded the body and written it into the audit log.
func (l *logLevel) change(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOpsBody))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	level, until, problem := parseLevel(body, time.Now())
	if problem != "" {
		http.Error(w, problem, http.StatusUnprocessableEntity)
		return
	}
	l.choose(level, until)
	l.show(w, r)
}

// parseLevel reads a body such as {"level": "DEBUG", "until": "2026-11-28T14:00:00Z"}. It returns what is wrong with
// the body.
func parseLevel(body []byte, now time.Time) (level slog.Level, until time.Time, problem string) {
	var fields map[string]jsontext.Value
	if jsonv2.Unmarshal(body, &fields) != nil {
		return 0, until, `the body must be JSON such as {"level": "DEBUG"}`
	}
	until = now.Add(defaultLevelFor)
	for name, value := range fields {
		text, err := strconv.Unquote(string(value))
		switch {
		case name == "level" && err == nil && isLevel(text):
			_ = level.UnmarshalText([]byte(text))
		case name == "until" && err == nil:
			at, err := time.Parse(time.RFC3339, text)
			if err != nil || !at.After(now) || at.After(now.Add(longestLevelFor)) {
				return 0, until, "until must be a moment in the next 24 hours, as in 2026-11-28T14:00:00Z"
			}
			until = at
		case name == "level":
			return 0, until, "level must be DEBUG, INFO, WARN or ERROR"
		default:
			return 0, until, "the body may have level and until only, which are texts"
		}
	}
	if _, ok := fields["level"]; !ok {
		return 0, until, "level is missing"
	}
	return level, until, ""
}

func isLevel(text string) bool {
	return text == "DEBUG" || text == "INFO" || text == "WARN" || text == "ERROR"
}
