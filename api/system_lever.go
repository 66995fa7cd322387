package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

var errLaneNotFound = problems.New(problems.NotFound, "lane_not_found",
	"There is no such lane: a lane is named after its provider.")

// LeverHold is why, and until when, an operator holds a lever.
type LeverHold struct {
	Reason string    `json:"reason" example:"The bank is moving" doc:"The operator's reason"`
	By     string    `json:"by" example:"7kq2mxw5a3fd" doc:"The principal that did it"`
	Since  time.Time `json:"since" example:"2026-11-22T12:00:00Z"`
	Until  time.Time `json:"until" example:"2026-11-22T13:00:00Z" doc:"It ends by itself then"`
}

// Lever is a request to hold a lever.
type Lever struct {
	Reason string     `json:"reason" minLength:"1" maxLength:"200" example:"The bank is moving" doc:"The reason, in one line. Callers of a stopped intake read it"`
	Until  *time.Time `json:"until,omitempty" example:"2026-11-22T13:00:00Z" doc:"When it ends by itself: at most 7 days ahead. Default: an hour from now"`
}

// Lane is the lane of one provider: the queue of its steps.
type Lane struct {
	Lane   string       `json:"lane" example:"payment" doc:"The lane's name, which is its provider's"`
	Paused bool         `json:"paused" example:"false" doc:"True if an operator pauses the lane, here or in River UI"`
	Pause  *LeverHold   `json:"pause,omitempty" doc:"The pause; absent if there is none, or if it was made in River UI"`
	Queue  *QueueStatus `json:"queue,omitempty" doc:"The lane's queue, up to a second old; absent as long as no process has worked it"`
}

// Lanes is the lanes of all providers.
type Lanes struct {
	Lanes []Lane `json:"lanes" doc:"The lanes, sorted by name"`
}

// Intake reports whether orders are taken.
type Intake struct {
	Stopped bool       `json:"stopped" example:"false" doc:"True if an operator stops the intake: placements get 503, and everything else goes on"`
	Stop    *LeverHold `json:"stop,omitempty" doc:"The stop; absent if there is none"`
}

type (
	lanesOutput  struct{ Body Lanes }
	laneOutput   struct{ Body Lane }
	intakeOutput struct{ Body Intake }
	laneInput    struct {
		Lane string `path:"lane" maxLength:"100" example:"payment" doc:"The lane's name, which is its provider's"`
	}
	pauseLaneInput struct {
		Lane string `path:"lane" maxLength:"100" example:"payment" doc:"The lane's name, which is its provider's"`
		Body Lever
	}
	stopIntakeInput struct{ Body Lever }
)

// leverOperations are the levers that operators pull by hand.
type leverOperations struct {
	levers *store.Levers
	holds  *store.Holds
	system systemOperations
}

const (
	lanesPath  = "/api/system/lanes"
	lanePath   = lanesPath + "/{lane}"
	intakePath = "/api/system/intake"
	leverBody  = `{"reason": "The bank is moving", "until": "2026-11-22T13:00:00Z"}`
)

func (o leverOperations) all() []operation {
	described := func(id, method, path, summary, description string) operation {
		op := operation{
			Operation: huma.Operation{
				OperationID: id, Method: method, Path: path, Tags: []string{tagOperations}, Summary: summary,
				Description: description,
			},
			permission: permitOperate,
		}
		if method == http.MethodGet {
			op.permission = permitObserve
		}
		return op
	}
	of := func(op operation, errs ...*problems.Error) operation {
		op.errors = errs
		return op
	}
	pulled := func(op operation) operation {
		op.example = leverBody
		return op
	}
	return []operation{
		declare(described("listLanes", http.MethodGet, lanesPath, "List the lanes of the providers",
			"Each provider has a lane: the queue of its steps. Shows which lanes are paused, and how much work waits."), o.list),
		declare(of(described("getLane", http.MethodGet, lanePath, "Get a lane", "The lane of one provider."),
			errLaneNotFound), o.get),
		declare(pulled(of(described("pauseLane", http.MethodPost, lanePath+"/pause", "Pause a lane",
			"No process takes jobs of the lane until the pause ends, in all processes within two seconds. Calls under way "+
				"end, and other lanes go on. The deadlines of the lane's steps go on, too: a step past its deadline is given up "+
				"after the pause, unless the provider carried it out. A lane that is paused gets the new reason and the new end."),
			errLaneNotFound)), o.pause),
		declare(of(described("resumeLane", http.MethodPost, lanePath+"/resume", "Resume a lane",
			"Ends the pause now. A lane that is not paused stays as it is. A queue that was paused in River UI is resumed "+
				"there."),
			errLaneNotFound), o.resume),
		declare(described("getIntake", http.MethodGet, intakePath, "Get whether orders are taken",
			"Whether an operator stops the intake, why, and until when."), o.intake),
		declare(pulled(described("stopIntake", http.MethodPost, intakePath+"/stop", "Stop the intake",
			"Placements get 503 `intake_stopped`, with Retry-After and the reason, in all processes within two seconds. "+
				"Orders that were accepted go on, and everything else is answered. An intake that is stopped gets the new reason "+
				"and the new end.")), o.stop),
		declare(described("startIntake", http.MethodPost, intakePath+"/start", "Start the intake",
			"Orders are taken again. An intake that is not stopped stays as it is."), o.start),
	}
}

func (o leverOperations) list(ctx context.Context, _ *struct{}) (*lanesOutput, error) {
	lanes, err := o.lanes(ctx)
	if err != nil {
		return nil, err
	}
	return &lanesOutput{Lanes{lanes}}, nil
}

func (o leverOperations) get(ctx context.Context, in *laneInput) (*laneOutput, error) {
	provider, err := in.provider()
	if err != nil {
		return nil, err
	}
	lanes, err := o.lanes(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(lanes, func(l Lane) bool { return l.Lane == string(provider) })
	return &laneOutput{lanes[i]}, nil
}

func (o leverOperations) pause(ctx context.Context, in *pauseLaneInput) (*laneOutput, error) {
	lane := &laneInput{in.Lane}
	provider, err := lane.provider()
	if err != nil {
		return nil, err
	}
	if _, err := o.levers.PauseLane(ctx, provider, in.Body.hold(), exchangeOf(ctx).actor); err != nil {
		return nil, uncertainLever(err)
	}
	return o.get(ctx, lane)
}

func (o leverOperations) resume(ctx context.Context, in *laneInput) (*laneOutput, error) {
	provider, err := in.provider()
	if err != nil {
		return nil, err
	}
	if err := o.levers.ResumeLane(ctx, provider, exchangeOf(ctx).actor); err != nil {
		return nil, uncertainLever(err)
	}
	return o.get(ctx, in)
}

func (o leverOperations) intake(ctx context.Context, _ *struct{}) (*intakeOutput, error) {
	if err := o.holds.Follow(ctx, o.levers); err != nil {
		return nil, err
	}
	return &intakeOutput{newIntake(o.holds)}, nil
}

func (o leverOperations) stop(ctx context.Context, in *stopIntakeInput) (*intakeOutput, error) {
	if _, err := o.levers.StopIntake(ctx, in.Body.hold(), exchangeOf(ctx).actor); err != nil {
		return nil, uncertainLever(err)
	}
	return o.intake(ctx, nil)
}

func (o leverOperations) start(ctx context.Context, _ *struct{}) (*intakeOutput, error) {
	if err := o.levers.StartIntake(ctx, exchangeOf(ctx).actor); err != nil {
		return nil, uncertainLever(err)
	}
	return o.intake(ctx, nil)
}

// lanes reads the levers, so that the answer has what the caller's own request has changed.
func (o leverOperations) lanes(ctx context.Context) ([]Lane, error) {
	if err := o.holds.Follow(ctx, o.levers); err != nil {
		return nil, err
	}
	shared := o.system.shared.get(ctx, o.system.measureSystem)
	if shared.err != nil {
		return nil, shared.err
	}
	queues := newQueues(shared.queues, o.system.now())
	var lanes []Lane
	for _, provider := range orders.Providers() {
		lane := Lane{Lane: string(provider), Pause: newLeverHold(o.holds.Lane(provider))}
		lane.Paused = lane.Pause != nil
		if i := slices.IndexFunc(queues, func(q QueueStatus) bool { return q.Name == lane.Lane }); i >= 0 {
			lane.Queue = &queues[i]
			lane.Paused = lane.Paused || shared.queues[i].Paused
			queues[i].Paused = lane.Paused
		}
		lanes = append(lanes, lane)
	}
	slices.SortFunc(lanes, func(a, b Lane) int { return cmp.Compare(a.Lane, b.Lane) })
	return lanes, nil
}

func (in *laneInput) provider() (orders.Provider, error) {
	if provider := orders.Provider(in.Lane); slices.Contains(orders.Providers(), provider) {
		return provider, nil
	}
	return "", errLaneNotFound
}

func (l Lever) hold() store.NewHold {
	hold := store.NewHold{Reason: l.Reason}
	if l.Until != nil {
		hold.Until = *l.Until
	}
	return hold
}

func uncertainLever(err error) error {
	return &uncertainError{"The change may or may not have been stored. Sending it again is safe.", err}
}

func newLeverHold(hold store.Hold, ok bool) *LeverHold {
	if !ok {
		return nil
	}
	return &LeverHold{Reason: hold.Reason, By: hold.Actor, Since: hold.Since, Until: hold.Until}
}

func newIntake(holds *store.Holds) Intake {
	stop := newLeverHold(holds.Intake())
	return Intake{Stopped: stop != nil, Stop: stop}
}
