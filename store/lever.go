package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// The longest time that a lever may hold, and the time that it holds if the operator names none. A lever always ends by
// itself: one that is forgotten would keep orders waiting for ever.
const (
	LongestHold = 7 * 24 * time.Hour
	DefaultHold = time.Hour
)

const (
	leverLane   = "lane"
	leverIntake = "intake"
)

// Levers are what operators pull by hand: they pause the lane of a provider, or stop the intake. Processes follow them
// with Holds.
type Levers struct {
	*database
}

// Hold is a lever that an operator has pulled.
type Hold struct {
	Reason string // one line; callers of a stopped intake read it
	Actor  string // the principal that pulled it
	Since  time.Time
	Until  time.Time // it ends by itself then
}

// NewHold is a request to pull a lever.
type NewHold struct {
	Reason string
	Until  time.Time // zero: DefaultHold from now
}

// Held is every lever that holds.
type Held struct {
	Lanes  map[orders.Provider]Hold
	Intake *Hold // nil: orders are taken
}

// Read reads which levers hold now.
func (s *Levers) Read(ctx context.Context) (Held, error) {
	rows, err := s.queries.LeversHeld(ctx, s.db)
	if err != nil {
		return Held{}, fmt.Errorf("read levers: %w", err)
	}
	held := Held{Lanes: map[orders.Provider]Hold{}}
	for _, row := range rows {
		hold := Hold{Reason: row.Reason, Actor: row.Actor, Since: row.BeganAt.UTC(), Until: row.EndsAt.UTC()}
		if row.Kind == leverIntake {
			held.Intake = &hold
		} else {
			held.Lanes[orders.Provider(row.Lane)] = hold
		}
	}
	return held, nil
}

// PauseLane keeps all processes from taking jobs of a provider's lane. A lane that is paused already gets the new
// reason and the new end. The audit log has it, in the same commit. Errors: *orders.InvalidError.
func (s *Levers) PauseLane(ctx context.Context, lane orders.Provider, request NewHold, by Actor) (Hold, error) {
	return s.pull(ctx, leverLane, string(lane), request, by, "lanes.pause")
}

// ResumeLane lets all processes take jobs of a lane again. A lane that is not paused stays as it is.
func (s *Levers) ResumeLane(ctx context.Context, lane orders.Provider, by Actor) error {
	return s.release(ctx, leverLane, string(lane), by, "lanes.resume")
}

// StopIntake keeps all processes from taking orders. Callers read the reason. The rest is as for PauseLane.
func (s *Levers) StopIntake(ctx context.Context, request NewHold, by Actor) (Hold, error) {
	return s.pull(ctx, leverIntake, "", request, by, "intake.stop")
}

// StartIntake lets all processes take orders again.
func (s *Levers) StartIntake(ctx context.Context, by Actor) error {
	return s.release(ctx, leverIntake, "", by, "intake.start")
}

func (s *Levers) pull(ctx context.Context, kind, lane string, r NewHold, by Actor, action string) (Hold, error) {
	now := timestamp(s.now())
	if r.Until.IsZero() {
		r.Until = now.Add(DefaultHold)
	}
	if err := r.validate(now); err != nil {
		return Hold{}, err
	}
	hold := Hold{Reason: r.Reason, Actor: printable(by.Name, orders.MaxTextLength), Since: now, Until: timestamp(r.Until)}
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.LeverPull(ctx, tx, &dbsqlc.LeverPullParams{
			Kind: kind, Lane: lane, Reason: hold.Reason, Actor: hold.Actor, BeganAt: hold.Since, EndsAt: hold.Until,
		}); err != nil {
			return err
		}
		return s.audit(ctx, tx, []AuditEntry{{
			Actor: by, Action: action, Target: lane, Detail: map[string]any{"reason": hold.Reason, "until": hold.Until},
		}})
	})
	if err != nil {
		return Hold{}, fmt.Errorf("pull lever: %w", err)
	}
	return hold, nil
}

func (s *Levers) release(ctx context.Context, kind, lane string, by Actor, action string) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.LeverRelease(ctx, tx, &dbsqlc.LeverReleaseParams{Kind: kind, Lane: lane}); err != nil {
			return err
		}
		return s.audit(ctx, tx, []AuditEntry{{Actor: by, Action: action, Target: lane}})
	})
	if err != nil {
		return fmt.Errorf("release lever: %w", err)
	}
	return nil
}

// validate returns nil or an *orders.InvalidError.
func (r NewHold) validate(now time.Time) error {
	var wrong []orders.FieldError
	problem := orders.CheckLine(r.Reason)
	if r.Reason == "" {
		problem = "must not be empty"
	}
	if problem != "" {
		wrong = append(wrong, orders.FieldError{Field: "reason", Message: problem})
	}
	if !r.Until.After(now) || r.Until.After(now.Add(LongestHold)) {
		wrong = append(wrong, orders.FieldError{Field: "until", Message: "must be in the future, at most 7 days ahead"})
	}
	if wrong == nil {
		return nil
	}
	return &orders.InvalidError{Fields: wrong}
}
