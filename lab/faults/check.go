package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
)

// checker compares what customers were told with the database and with the providers' own ledger. It finds violations
// and repairs nothing. The invariants are those of docs/design.md.
type checker struct {
	*deployment
	journal    *journal
	attention  bool // orders may need attention: a provider broke its promises
	skewed     bool // times of providers and of the database cannot be compared
	violations []string
}

func (c *checker) violated(invariant, format string, args ...any) {
	c.violations = append(c.violations, invariant+": "+fmt.Sprintf(format, args...))
}

// account is an order in the database, with the ledger's effects on it.
type account struct {
	order  orders.Order
	events []orders.Event

	authorized, captured, released, refunded orders.Money
	reserved, shipped                        int // net
}

// check makes all checks. The system must be at rest.
func (c *checker) check(ctx context.Context) error {
	accounts, keys, err := c.accounts(ctx)
	if err != nil {
		return err
	}
	c.customers(accounts, keys)
	for _, a := range accounts {
		c.history(a)
	}
	if err := c.ledger(ctx, accounts); err != nil {
		return err
	}
	for _, a := range accounts {
		c.balance(a)
	}
	c.linearizable()
	c.verify(ctx)
	return nil
}

// accounts reads all orders, with the idempotency keys of their placements.
func (c *checker) accounts(ctx context.Context) (map[orders.ID]*account, map[string][]orders.ID, error) {
	pool, err := store.NewPool(ctx, c.primary().DSN(databaseName), "faults", 4)
	if err != nil {
		return nil, nil, err
	}
	defer pool.Close()
	s, err := store.New(store.Config{DB: pool})
	if err != nil {
		return nil, nil, err
	}
	type row struct {
		ID  uuid.UUID
		Key *string
	}
	rows, err := pool.Query(ctx, "SELECT id, idempotency_key FROM millrace.orders")
	if err != nil {
		return nil, nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, nil, err
	}
	accounts, keys := map[orders.ID]*account{}, map[string][]orders.ID{}
	for _, r := range list {
		a := new(account)
		if a.order, err = s.Orders.Get(ctx, r.ID); err != nil {
			return nil, nil, err
		}
		if a.events, err = s.Orders.Events(ctx, r.ID, 0, 1000); err != nil {
			return nil, nil, err
		}
		accounts[r.ID] = a
		if r.Key != nil {
			keys[*r.Key] = append(keys[*r.Key], r.ID)
		}
	}
	return accounts, keys, nil
}

// customers checks I1 and I2: every accepted order is stored once, and no other order is stored.
func (c *checker) customers(accounts map[orders.ID]*account, keys map[string][]orders.ID) {
	told, asked := map[string]string{}, map[string]bool{}
	for _, o := range c.journal.operations() {
		asked[o.Order] = true
		if o.Kind != opPlace {
			continue
		}
		if !o.accepted() {
			if o.answered() { // no answer in the group contradicts another
				c.violated("I1", "key %s was refused with %d", o.Order, o.Code)
			}
			continue
		}
		id, err := uuid.Parse(o.ID)
		if err != nil || accounts[id] == nil {
			c.violated("I1", "order %s of key %s was accepted and is not there", o.ID, o.Order)
		}
		if before, ok := told[o.Order]; ok && before != o.ID {
			c.violated("I2", "key %s was answered with %s and with %s", o.Order, before, o.ID)
		}
		told[o.Order] = o.ID
	}
	for key, ids := range keys {
		if len(ids) > 1 {
			c.violated("I2", "key %s has %d orders", key, len(ids))
		}
		if !asked[key] {
			c.violated("I2", "key %s was never sent", key)
		}
	}
	for id := range accounts {
		if len(keys) == 0 {
			c.violated("I2", "order %s has no key", id)
		}
	}
}

// history checks I4 and I5: versions without a gap, one outcome per step, and a state that follows from the log.
func (c *checker) history(a *account) {
	id, settled := a.order.ID, map[string]bool{}
	for i, e := range a.events {
		if e.Version != int64(i)+1 {
			c.violated("I4", "order %s has version %d where %d belongs", id, e.Version, i+1)
			return
		}
		if e.Step == "" {
			continue
		}
		step := orders.StepKey(id, e.Step, e.Generation)
		if settled[step] {
			c.violated("I5", "step %s has two outcomes", step)
		}
		settled[step] = true
	}
	if int64(len(a.events)) != a.order.Version {
		c.violated("I4", "order %s has version %d and %d events", id, a.order.Version, len(a.events))
		return
	}
	folded, err := orders.Fold(a.order, a.events)
	if err != nil || folded.Status != a.order.Status || folded.Refunded != a.order.Refunded {
		c.violated("I4", "order %s is %s, and its events make it %s (%v)", id, a.order.Status, folded.Status, err)
	}
}

// ledger checks I6, I10, I11, I12 and I14, and adds up the effects on each order.
func (c *checker) ledger(ctx context.Context, accounts map[orders.ID]*account) error {
	var summary simulator.Summary
	var entries []simulator.Entry
	var keys []simulator.Key
	for path, into := range map[string]any{"/ledger/summary": &summary, "/ledger": &entries, "/ledger/keys": &keys} {
		if err := c.ask(ctx, http.MethodGet, c.simulatorURL(path), nil, into); err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
	}
	for _, v := range summary.Violations {
		c.violated("I6", "%s by %s of order %s", v.Rule, v.Key, v.OrderID)
	}
	steps := map[string]*orders.Step{}
	for _, a := range accounts {
		for i, s := range a.order.Steps {
			steps[orders.StepKey(a.order.ID, s.Name, s.Generation)] = &a.order.Steps[i]
		}
	}
	requests, err := c.requests(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		step := steps[k.Key]
		switch sum := requests[k.Key]; {
		case step == nil:
			c.violated("I10", "the providers know key %s, which is of no step", k.Key)
			continue
		case !c.skewed && k.FirstSeenAt.Before(step.StartedAt):
			c.violated("I11", "%s was sent before it was intended", k.Key)
		case k.RequestSHA256 != sum:
			c.violated("I12", "%s was sent with other bytes than are stored", k.Key)
		}
		if step.State == orders.StateSucceeded && k.State != "effect" && k.State != "nothing" {
			c.violated("I10", "%s succeeded, and the provider says %s", k.Key, k.State)
		}
		delete(steps, k.Key)
	}
	for key, step := range steps {
		if step.State == orders.StateSucceeded || step.State == orders.StateRefused {
			c.violated("I10", "%s is %s, and the provider never heard of it", key, step.State)
		}
	}
	c.post(accounts, entries)
	return nil
}

// requests returns the hashes of the stored requests, by key.
func (c *checker) requests(ctx context.Context) (map[string]string, error) {
	conn, err := c.primary().connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT order_id, step, generation, request FROM millrace.order_steps")
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	var id uuid.UUID
	var step string
	var generation int
	var request []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &step, &generation, &request}, func() error {
		sum := sha256.Sum256(request)
		sums[orders.StepKey(id, orders.StepName(step), generation)] = hex.EncodeToString(sum[:])
		return nil
	})
	return sums, err
}

// post adds each effect to its order's account.
func (c *checker) post(accounts map[orders.ID]*account, entries []simulator.Entry) {
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[e.Key] {
			c.violated("I6", "%s took effect twice", e.Key)
		}
		seen[e.Key] = true
		id, err := uuid.Parse(e.OrderID)
		a := accounts[id]
		if err != nil || a == nil {
			c.violated("I10", "%s took effect for order %s, which does not exist", e.Key, e.OrderID)
			continue
		}
		for _, s := range a.order.Steps {
			// Only a late send counts: a provider may take its time with an earlier one.
			if orders.StepKey(id, s.Name, s.Generation) == e.Key && e.At.After(s.DeadlineAt.Add(5*time.Second)) {
				c.violated("I14", "%s took effect %s after its deadline", e.Key, e.At.Sub(s.DeadlineAt))
			}
		}
		switch e.Operation {
		case "authorize":
			a.authorized += e.Money()
		case "capture":
			a.captured += e.Money()
		case "void":
			a.released += e.Money()
		case "refund":
			a.refunded += e.Money()
		case "reserve":
			a.reserved++
		case "release":
			a.reserved--
		case "ship":
			a.shipped++
		case "cancel_shipment":
			a.shipped--
		}
	}
}

// balance checks I7 to I9: at rest, money and goods are where the status requires.
func (c *checker) balance(a *account) {
	o := a.order
	undone := a.captured == a.refunded && a.reserved == 0 && a.shipped == 0 && a.authorized-a.captured == a.released
	done := a.captured == o.Total && a.refunded == o.Refunded && a.reserved == 1 && a.shipped == 1
	var holds bool
	switch {
	case !o.Status.AtRest():
		c.violated("L7", "order %s is %s and not at rest", o.ID, o.Status)
		return
	case o.Status == orders.NeedsAttention:
		if holds = c.attention; !holds {
			c.violated("I8", "order %s needs attention: %s", o.ID, o.Reason)
		}
		return
	case o.Goal == orders.GoalComplete: // completed, or refunded on request afterwards
		holds = done
	default:
		holds = undone
	}
	if !holds {
		c.violated("I8", "order %s is %s: authorized %d, captured %d, released %d, refunded %d (of %d), %d reserved, "+
			"%d shipped", o.ID, o.Status, a.authorized, a.captured, a.released, a.refunded, o.Refunded, a.reserved, a.shipped)
	}
}

// verify runs millrace's own verification. Some violations disappear a while after a crash, such as a missing leader.
// Real damage remains.
func (c *checker) verify(ctx context.Context) {
	var found store.Verification
	const output = "verify.log"
	args := []string{"verify", "--deep", "--json", "--database-url", c.primary().DSN(databaseName)}
	if launch.Eventually(ctx, time.Minute, func() bool {
		found = store.Verification{}
		p, err := c.launch(output, nil, args...)
		if err != nil {
			return false
		}
		<-p.Done()
		b, err := os.ReadFile(filepath.Join(c.dir, output))
		_ = os.Remove(filepath.Join(c.dir, output))
		begin := bytes.IndexByte(b, '{')
		if err != nil || begin < 0 || json.NewDecoder(bytes.NewReader(b[begin:])).Decode(&found) != nil {
			return false
		}
		return len(found.Violations) == 0
	}) {
		return
	}
	if found.StartedAt.IsZero() {
		c.violated("verify", "millrace verify does not answer")
	}
	for _, v := range found.Violations {
		c.violated("verify", "%s: %d, such as %s", v.Check, v.Count, strings.Join(v.Details[:min(1, len(v.Details))], ""))
	}
}
