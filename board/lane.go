package board

import (
	"net/http"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// The states of a lane, the worst first. docs/board.md says what each means.
const (
	stateIdle    = "no workers"
	stateOpen    = "breaker open"
	statePaused  = "paused"
	stateBehind  = "behind"
	stateFailing = "failing"
	stateWell    = "working"
	stateQuiet   = "quiet"
)

// laneRow is one provider's lane as the board shows it.
type laneRow struct {
	store.LaneState

	At     time.Time   // of the snapshot
	Hold   *store.Hold // nil: no operator pauses the lane
	Queued bool        // an operator paused its queue in River UI
}

func newLaneRow(lane store.LaneState, q quick) laneRow {
	row := laneRow{LaneState: lane, At: q.At, Queued: q.Paused[string(lane.Provider)]}
	if hold, held := q.Held.Lanes[lane.Provider]; held {
		row.Hold = &hold
	}
	return row
}

// State sums up a lane in a word or two: the first of these that is true.
func (l laneRow) State() string {
	switch {
	case l.Workers == 0:
		return stateIdle
	case l.Hold != nil || l.Queued:
		return statePaused
	case l.Open > 0:
		return stateOpen
	case !l.OldestAt.IsZero() && l.At.Sub(l.OldestAt) > laneLate:
		return stateBehind
	case l.LastError != "" && l.At.Sub(l.LastErrorAt) < laneLate:
		return stateFailing
	case l.Backlog > 0 || l.InFlight > 0:
		return stateWell
	}
	return stateQuiet
}

// Tone chooses how a state is marked. A color never says it alone: the state's words are there, too.
func (l laneRow) Tone() string {
	switch l.State() {
	case stateIdle, stateOpen:
		return "bad"
	case statePaused, stateBehind, stateFailing:
		return "warn"
	}
	return "good"
}

type laneData struct {
	laneRow
	Processes []store.Process // those that call the provider
	Ranges    []string
	Range     string
	Pauses    []pause

	Reason  string // of the form
	Problem string // with the form
}

func (b *board) lane(w http.ResponseWriter, r *http.Request) {
	if _, known := laneOf(r); !known {
		b.missing(w, r, "There is no such lane.")
		return
	}
	b.showLane(w, r, http.StatusOK, "", "")
}

// laneOf is the lane that a request names.
func laneOf(r *http.Request) (orders.Provider, bool) {
	for _, provider := range orders.Providers() {
		if string(provider) == r.PathValue("provider") {
			return provider, true
		}
	}
	return "", false
}

func (b *board) showLane(w http.ResponseWriter, r *http.Request, status int, reason, problem string) {
	provider, _ := laneOf(r)
	i := slices.Index(orders.Providers(), provider)
	q, err := b.quick.get(r.Context())
	if err != nil {
		b.fail(w, r, err)
		return
	}
	d := laneData{
		laneRow: newLaneRow(q.Lanes[i], q), Ranges: ranges(), Range: rangeOf(r), Pauses: pauses(), Reason: reason,
		Problem: problem,
	}
	for _, p := range q.Processes {
		if _, calls := p.Lanes[provider]; calls && p.Live {
			d.Processes = append(d.Processes, p)
		}
	}
	b.show(w, r, status, "lane", "Lane "+string(provider), d)
}

// View is what one process has seen of the lane.
func (d laneData) View(p store.Process) store.LaneView { return p.Lanes[d.Provider] }
