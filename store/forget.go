package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// forgetPage is how many orders are forgotten in one transaction: others may wait for their locks.
const forgetPage = 100

// Customers is what is kept of customers.
type Customers struct {
	*database
}

// An UnfinishedError reports that a customer has orders that still need what is to be forgotten.
type UnfinishedError struct {
	CustomerID string
	Orders     int64
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("customer %s has %d unfinished orders, which still need an address: wait for their end, cancel or "+
		"settle them, and repeat the command", e.CustomerID, e.Orders)
}

// Unfinished counts the orders of a customer that have not ended, or whose last e-mail is still to be sent.
func (s *Customers) Unfinished(ctx context.Context, customerID string) (int64, error) {
	n, err := s.queries.CustomerUnfinished(ctx, s.db, customerID)
	if err != nil {
		return 0, fmt.Errorf("count unfinished orders: %w", err)
	}
	return n, nil
}

// Forgotten is what Forget did, and what it cannot do.
type Forgotten struct {
	Orders int64 // that it changed
	Files  []ForgottenFile
}

// ForgottenFile is an archive file that still has orders of the customer.
type ForgottenFile struct {
	Name   string
	Orders int64
}

// Forget removes the e-mail address, the address and all names of a customer from the customer's orders, and from what
// was stored with the orders. Money, products, the sequence of events and the customer's id stay. It needs the role
// that owns the tables. It may be repeated, also after a crash. It cannot change archive files: it returns which of
// them have orders of the customer.
//
// It refuses a customer with unfinished orders. An order may be placed meanwhile, and then stays as it is.
func (s *Customers) Forget(ctx context.Context, customerID string, by Actor) (done Forgotten, err error) {
	unfinished, err := s.Unfinished(ctx, customerID)
	if err != nil {
		return done, err
	}
	if unfinished > 0 {
		return done, &UnfinishedError{customerID, unfinished}
	}
	// The entry precedes the change: nothing is forgotten that the audit log does not mention.
	if err := s.auditForget(ctx, customerID, by, map[string]any{"begun": true}); err != nil {
		return done, err
	}
	var after orders.ID
	for more := true; more; {
		var here int64
		var last orders.ID
		err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) { // which may run twice
			here, last, more, err = s.forgetPage(ctx, tx, customerID, after)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("forget customer: %w", err)
		}
		done.Orders, after = done.Orders+here, last
	}
	files, err := s.queries.ForgetArchived(ctx, s.patient, customerID)
	if err != nil {
		return done, fmt.Errorf("forget archived orders of customer: %w", err)
	}
	for _, f := range files {
		done.Files = append(done.Files, ForgottenFile(f))
	}
	return done, s.auditForget(ctx, customerID, by, map[string]any{"orders": done.Orders, "files": len(files)})
}

func (s *Customers) auditForget(ctx context.Context, customerID string, by Actor, detail map[string]any) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return s.audit(ctx, tx, []AuditEntry{{Actor: by, Action: "customers.forget", Target: customerID, Detail: detail}})
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// forgetPage forgets some orders, and returns the last of them and whether there may be more.
func (s *Customers) forgetPage(ctx context.Context, tx pgx.Tx, customerID string, after orders.ID) (
	changed int64, last orders.ID, full bool, err error,
) {
	rows, err := s.queries.CustomerFinished(ctx, tx, &dbsqlc.CustomerFinishedParams{
		CustomerID: customerID, After: after, PageSize: forgetPage,
	})
	if err != nil || len(rows) == 0 {
		return 0, after, false, err
	}
	ids, emails := make([]orders.ID, len(rows)), map[string]bool{}
	for i, row := range rows {
		ids[i] = row.ID
		if row.CustomerEmail != "" {
			emails[row.CustomerEmail] = true
		}
	}
	if err := s.forgetAudit(ctx, tx, slices.Sorted(maps.Keys(emails))); err != nil {
		return 0, after, false, err
	}
	for _, forget := range []func(context.Context, dbsqlc.DBTX, []orders.ID) error{
		s.queries.ForgetSteps, s.queries.ForgetCommands, s.queries.ForgetResponses,
	} {
		if err := forget(ctx, tx, ids); err != nil {
			return 0, after, false, err
		}
	}
	changed, err = s.queries.ForgetOrders(ctx, tx, ids)
	return changed, ids[len(ids)-1], len(rows) == forgetPage, err
}

// forgetAudit drops the details of the audit log's entries that have one of the addresses. Only the owner of the tables
// may switch off the trigger that guards the log. Other sessions never see the trigger off: the table is locked until
// the transaction ends.
func (s *Customers) forgetAudit(ctx context.Context, tx pgx.Tx, emails []string) error {
	if len(emails) == 0 {
		return nil
	}
	ids, err := s.queries.AuditMentions(ctx, tx, emails)
	if err != nil || len(ids) == 0 {
		return err
	}
	const trigger = " TRIGGER audit_log_append_only"
	if _, err := tx.Exec(ctx, "ALTER TABLE millrace.audit_log DISABLE"+trigger); err != nil {
		return fmt.Errorf("let the audit log forget, which only the owner of the tables may: %w", err)
	}
	if err := s.queries.ForgetAudit(ctx, tx, ids); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "ALTER TABLE millrace.audit_log ENABLE"+trigger)
	return err
}
