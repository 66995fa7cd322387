package board

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// redriveFew is how many orders a page of a cause shows.
const redriveFew = 20

type attentionData struct {
	Total  int64
	Groups []store.DeadLetterGroup
	Most   bool // there may be more than the latest orders that were counted

	Chosen bool // one cause was chosen
	Cause  orders.Cause
	Orders []orders.Order

	Reason  string // of the form
	Rate    int
	Problem string // with the form
	Result  *redriveResult
}

// redriveResult is what a redrive does, or a dry run would do.
type redriveResult struct {
	DryRun bool
	Orders int64
	First  []redriveOrder
}

type redriveOrder struct {
	ID    orders.ID
	Steps []orders.Step
}

// Query selects a cause in an address.
func (attentionData) Query(cause orders.Cause) string {
	return url.Values{
		"step": {string(cause.Step)}, "state": {string(cause.State)}, "code": {cause.Code},
	}.Encode()
}

func (b *board) attention(w http.ResponseWriter, r *http.Request) {
	d, err := b.readAttention(r.Context(), r.URL.Query())
	if err != nil {
		b.fail(w, r, err)
		return
	}
	b.show(w, r, http.StatusOK, "attention", "Orders that need a decision", d)
}

func (b *board) readAttention(ctx context.Context, chosen url.Values) (d attentionData, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	d = attentionData{Rate: 10, Cause: orders.Cause{
		Step: orders.StepName(chosen.Get("step")), State: orders.StepState(chosen.Get("state")), Code: chosen.Get("code"),
	}}
	if d.Groups, err = b.config.Store.DeadLetters.Latest(ctx, mostCause); err != nil {
		return d, err
	}
	for _, g := range d.Groups {
		d.Total += g.Orders
		d.Chosen = d.Chosen || g.Cause == d.Cause // a cause that no order has is none: it may be any text
	}
	d.Chosen = d.Chosen && d.Cause.Step != "" && d.Cause.State != "" && d.Cause.Code != "" // "" would match every one
	d.Most = d.Total >= store.LatestDeadLetters
	if d.Chosen {
		d.Orders, err = b.config.Store.Orders.List(ctx, store.Filter{
			Status: orders.NeedsAttention, Cause: d.Cause, Limit: redriveFew,
		})
	}
	return d, err
}

func (b *board) dryRun(w http.ResponseWriter, r *http.Request) { b.act(w, r, true) }

func (b *board) redrive(w http.ResponseWriter, r *http.Request) { b.act(w, r, false) }

// act redrives the orders of a cause, or shows what a redrive would do.
func (b *board) act(w http.ResponseWriter, r *http.Request, dry bool) {
	if !b.operates(w, r) {
		return
	}
	if err := r.ParseForm(); err != nil {
		b.missing(w, r, "The form could not be read.")
		return
	}
	d, err := b.readAttention(r.Context(), r.PostForm)
	if err != nil {
		b.fail(w, r, err)
		return
	}
	d.Reason = strings.TrimSpace(r.PostForm.Get("reason"))
	d.Rate, err = strconv.Atoi(r.PostForm.Get("rate"))
	switch problem := orders.CheckLine(d.Reason); {
	case !d.Chosen:
		d.Problem = "No order needs a decision for this cause any more."
	case d.Reason == "":
		d.Problem = "A reason is needed: it is stored in the history of each order."
	case problem != "":
		d.Problem = "The reason " + problem + "."
	case err != nil || d.Rate < 1 || d.Rate > 100:
		d.Problem, d.Rate = "The rate must be a number from 1 to 100.", 10
	}
	if d.Problem != "" {
		b.show(w, r, http.StatusUnprocessableEntity, "attention", "Orders that need a decision", d)
		return
	}
	job := orders.RedriveJob{
		ID: orders.NewID(), Cause: d.Cause, PerSecond: d.Rate, Principal: b.config.Caller(r).Name, Reason: d.Reason,
		OrderIDs: []orders.ID{}, At: b.config.Now(),
	}
	if d.Result, err = b.preview(r.Context(), job, dry); err == nil && !dry {
		err = b.config.Store.DeadLetters.Redrive(r.Context(), job)
	}
	if err != nil {
		b.fail(w, r, err)
		return
	}
	b.show(w, r, http.StatusOK, "attention", "Orders that need a decision", d)
}

func (b *board) preview(ctx context.Context, job orders.RedriveJob, dry bool) (*redriveResult, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	n, err := b.config.Store.DeadLetters.Count(ctx, job)
	if err != nil {
		return nil, err
	}
	ids, err := b.config.Store.DeadLetters.List(ctx, job, orders.ID{}, redriveFew)
	if err != nil {
		return nil, err
	}
	result := &redriveResult{DryRun: dry, Orders: n}
	for _, id := range ids {
		order, err := b.config.Store.Orders.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		result.First = append(result.First, redriveOrder{id, job.Preview(order)})
	}
	return result, nil
}
