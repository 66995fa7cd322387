package board

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// pause is a time for which a lane may be paused.
type pause struct {
	Name string // in the form
	For  time.Duration
	Text string
}

func pauses() []pause {
	return []pause{
		{"15m", 15 * time.Minute, "15 minutes"},
		{"1h", time.Hour, "1 hour"},
		{"4h", 4 * time.Hour, "4 hours"},
		{"1d", 24 * time.Hour, "1 day"},
		{"3d", 3 * 24 * time.Hour, "3 days"},
	}
}

// pauseLane keeps all processes from working a lane, until a moment.
func (b *board) pauseLane(w http.ResponseWriter, r *http.Request) {
	provider, known := laneOf(r)
	switch {
	case !b.operates(w, r):
		return
	case !known:
		b.missing(w, r, "There is no such lane.")
		return
	}
	if err := r.ParseForm(); err != nil {
		b.missing(w, r, "The form could not be read.")
		return
	}
	request := store.NewHold{Reason: strings.TrimSpace(r.PostForm.Get("reason"))}
	for _, p := range pauses() {
		if p.Name == r.PostForm.Get("for") {
			request.Until = b.config.Now().Add(p.For)
		}
	}
	if request.Until.IsZero() { // for the store, none is an hour
		b.showLane(w, r, http.StatusUnprocessableEntity, request.Reason, "The time must be one of those in the list.")
		return
	}
	_, err := b.config.Store.Levers.PauseLane(r.Context(), provider, request, b.config.Caller(r).Actor)
	if invalid, ok := errors.AsType[*orders.InvalidError](err); ok {
		b.showLane(w, r, http.StatusUnprocessableEntity, request.Reason, problemOf(invalid))
		return
	}
	b.leave(w, r, provider, err)
}

// resumeLane lets all processes work a lane again.
func (b *board) resumeLane(w http.ResponseWriter, r *http.Request) {
	provider, known := laneOf(r)
	switch {
	case !b.operates(w, r):
		return
	case !known:
		b.missing(w, r, "There is no such lane.")
		return
	}
	err := b.config.Store.Levers.ResumeLane(r.Context(), provider, b.config.Caller(r).Actor)
	b.leave(w, r, provider, err)
}

// leave sends the browser to the lane's page after a change. The page then shows the change and not an older sample.
func (b *board) leave(w http.ResponseWriter, r *http.Request, lane orders.Provider, err error) {
	if err != nil {
		b.fail(w, r, err)
		return
	}
	b.quick.forget()
	http.Redirect(w, r, Prefix+"lanes/"+string(lane), http.StatusSeeOther)
}

func problemOf(invalid *orders.InvalidError) string {
	var problems []string
	for _, field := range invalid.Fields {
		problems = append(problems, "The "+field.Field+" "+field.Message+".")
	}
	return strings.Join(problems, " ")
}
