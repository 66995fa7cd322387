package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	archiveTimeout = 8 * time.Second // of reading a page, and of each transaction
	// archivePatience bounds the wait for transactions that store orders. Each of them ends within seconds.
	archivePatience = time.Minute
)

// Archive moves orders that have rested for long out of the database. Package archive writes the files, and calls these
// methods in their sequence.
type Archive struct{ *database }

// ArchivedOrder is an order with all that leaves the database with it.
type ArchivedOrder struct {
	orders.Order // its steps have their requests

	Principal      string
	IdempotencyKey string
	Fingerprint    []byte // empty without a key
	Events         []orders.Event
}

// ArchiveFile is a file of orders.
type ArchiveFile struct {
	ID     int64
	Name   string
	Orders int64
	Bytes  int64
	SHA256 []byte
}

// Scan looks at a page of orders after an order, and returns those that may leave: they have not changed since before,
// and nothing about them is pending. last is the last order of the page; the zero id if there are no more.
func (s *Archive) Scan(ctx context.Context, before time.Time, after orders.ID, limit int) (
	due []orders.ID, last orders.ID, err error,
) {
	rows, err := s.queries.ArchiveScan(ctx, s.db, &dbsqlc.ArchiveScanParams{
		Before: before, FanOut: fanOutCursor, After: after, Until: firstID(before), PageSize: int32(limit),
	})
	if err != nil {
		return nil, last, fmt.Errorf("look for orders to archive: %w", err)
	}
	for _, row := range rows {
		if row.Due {
			due = append(due, row.ID)
		}
		last = row.ID
	}
	return due, last, nil
}

// Read reads orders whole, at one moment, and returns the end of the part of the log that is pruned. An order that
// cannot be read is left out: verification reports it.
func (s *Archive) Read(ctx context.Context, ids []orders.ID) (list []ArchivedOrder, pruned time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.patient, func(tx pgx.Tx) (err error) {
		if err := s.queries.VerifyBegin(ctx, tx); err != nil {
			return err
		}
		if pruned, err = s.queries.VerifyPruned(ctx, tx); err != nil {
			return err
		}
		list, err = s.readWhole(ctx, tx, ids)
		return err
	})
	if err != nil {
		return nil, pruned, fmt.Errorf("read orders to archive: %w", classify(err))
	}
	return list, pruned, nil
}

func (s *Archive) readWhole(ctx context.Context, tx pgx.Tx, ids []orders.ID) (list []ArchivedOrder, err error) {
	documents, err := s.queries.OrdersRead(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	keys, err := s.queries.ArchiveKeys(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	requests, err := s.queries.ArchiveRequests(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	events, err := s.queries.VerifyEvents(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	byID := map[orders.ID]*ArchivedOrder{}
	for _, document := range documents {
		order, err := decodeOrder(document)
		if err == nil {
			byID[order.ID] = &ArchivedOrder{Order: order, Principal: document.Principal}
		}
	}
	for _, key := range keys {
		if o := byID[key.ID]; o != nil {
			o.IdempotencyKey, o.Fingerprint = key.IdempotencyKey, key.Fingerprint
		}
	}
	for _, row := range requests {
		if o := byID[row.OrderID]; o != nil {
			if step := o.Step(orders.StepName(row.Step), int(row.Generation)); step != nil && json.Valid(row.Request) {
				step.Request = row.Request
			}
		}
	}
	for _, row := range events {
		if o := byID[row.OrderID]; o != nil {
			o.Events = append(o.Events, decodeEvent(row))
		}
	}
	for _, id := range ids {
		if o := byID[id]; o != nil {
			list = append(list, *o)
		}
	}
	return list, nil
}

// Register notes that a file has orders, which was verified. Orders that have changed since they were read are left
// out.
func (s *Archive) Register(ctx context.Context, f ArchiveFile, list []ArchivedOrder) (ArchiveFile, error) {
	params := new(dbsqlc.ArchiveRegisterParams)
	for _, o := range list {
		params.Ids, params.Versions = append(params.Ids, o.ID), append(params.Versions, o.Version)
		params.Emails = append(params.Emails, o.CustomerEmail)
		params.Fingerprints = append(params.Fingerprints, append([]byte{}, o.Fingerprint...))
	}
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if f.ID, err = s.queries.ArchiveFileInsert(ctx, tx, &dbsqlc.ArchiveFileInsertParams{
			Name: f.Name, Orders: f.Orders, Bytes: f.Bytes, Sha256: f.SHA256, WrittenAt: timestamp(s.now()),
		}); err != nil {
			return err
		}
		params.FileID = f.ID
		registered, err := s.queries.ArchiveRegister(ctx, tx, params)
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, []AuditEntry{{
			Actor: Actor{Name: "archive"}, Action: "orders.archive", Target: f.Name,
			Detail: map[string]any{"orders": registered},
		}})
	})
	if err != nil {
		return f, fmt.Errorf("register archive file: %w", err)
	}
	return f, nil
}

// Pending returns the files with orders that are not deleted yet.
func (s *Archive) Pending(ctx context.Context) ([]ArchiveFile, error) {
	rows, err := s.queries.ArchivePending(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("list archive files: %w", err)
	}
	files := make([]ArchiveFile, len(rows))
	for i, row := range rows {
		files[i] = ArchiveFile{ID: row.ID, Name: row.Name, Orders: row.Orders, Bytes: row.Bytes, SHA256: row.Sha256}
	}
	return files, nil
}

// Settle waits until every transaction that stores orders and may not have seen what is registered has ended. Without
// it such a transaction would find an idempotency key neither in the orders nor in the archive, and store a second
// order.
func (s *Archive) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	before, err := s.queries.OrdersPlacing(ctx, s.db)
	for err == nil && len(before) > 0 {
		select {
		case <-time.After(sealPoll):
		case <-ctx.Done():
			return fmt.Errorf("wait for placements: %w", classify(ctx.Err()))
		}
		var now []string
		now, err = s.queries.OrdersPlacing(ctx, s.db)
		before = intersection(before, now)
	}
	if err != nil {
		return fmt.Errorf("wait for placements: %w", err)
	}
	return nil
}

// Delete deletes up to limit orders of a file that is registered, whole, settled and verified. Orders that changed
// since stay, and the file does not count for them any more. more reports whether the file has more orders to delete.
func (s *Archive) Delete(ctx context.Context, f ArchiveFile, limit int) (deleted int64, more bool, err error) {
	ids, err := s.queries.ArchivePendingOrders(ctx, s.db, &dbsqlc.ArchivePendingOrdersParams{
		FileID: f.ID, PageSize: int32(limit),
	})
	if err != nil {
		return 0, false, fmt.Errorf("list archived orders: %w", err)
	}
	if len(ids) == 0 {
		return 0, false, nil
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if err := s.queries.OrdersQueue(ctx, tx, ids); err != nil {
			return err
		}
		if deleted, err = s.queries.ArchiveDelete(ctx, tx, &dbsqlc.ArchiveDeleteParams{FileID: f.ID, Ids: ids}); err != nil {
			return err
		}
		_, err = s.queries.ArchiveRelease(ctx, tx, &dbsqlc.ArchiveReleaseParams{FileID: f.ID, Ids: ids})
		failpoint.Hit("archive.before_delete_commit")
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("delete archived orders: %w", err)
	}
	failpoint.Hit("archive.deleted")
	return deleted, len(ids) == limit, nil
}

// Release has the orders of a file that are not deleted yet stay in the database, because the file cannot be used.
func (s *Archive) Release(ctx context.Context, f ArchiveFile, limit int) (released int64, err error) {
	ids, err := s.queries.ArchivePendingOrders(ctx, s.db, &dbsqlc.ArchivePendingOrdersParams{
		FileID: f.ID, PageSize: int32(limit),
	})
	if err == nil {
		released, err = s.queries.ArchiveRelease(ctx, s.db, &dbsqlc.ArchiveReleaseParams{FileID: f.ID, Ids: ids})
	}
	if err != nil {
		return 0, fmt.Errorf("release archived orders: %w", err)
	}
	return released, nil
}

// missing returns the error for an order that is not in the database: *orders.ArchivedError or orders.ErrNotFound.
func (s *database) missing(ctx context.Context, db dbsqlc.DBTX, id orders.ID) error {
	customer, err := s.queries.ArchivedOwner(ctx, db, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return orders.ErrNotFound
	case err != nil:
		return fmt.Errorf("look for archived order: %w", err)
	}
	return &orders.ArchivedError{CustomerID: customer}
}

func intersection(a, b []string) (both []string) {
	there := map[string]bool{}
	for _, s := range b {
		there[s] = true
	}
	for _, s := range a {
		if there[s] {
			both = append(both, s)
		}
	}
	return both
}
