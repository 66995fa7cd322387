package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Operation is one key that Millrace sent, or the key of an operation that was undone before it arrived.
type Operation struct {
	Key      string
	Path     string // authorizations, captures, voids or refunds
	OrderID  string
	Body     []byte // the exact bytes; nil if the key was undone before it arrived
	RefersTo string // the key of the operation that is captured, voided or refunded
	State    string // started, succeeded or refused
	ID       string // the gateway's id of the payment, or of the refund
	Code     string // why it was refused
	Nothing  bool   // of an undo: there was nothing to undo
	Amount   string
	Currency string
	At       time.Time
}

const (
	started   = "started"
	succeeded = "succeeded"
	refused   = "refused"
)

// Ledger remembers every key. Without it, a repeated key would be a second payment.
type Ledger struct{ pool *pgxpool.Pool }

const schema = `
CREATE TABLE IF NOT EXISTS payment_operations (
	key       text PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 255),
	path      text NOT NULL,
	order_id  text NOT NULL,
	body      bytea,
	refers_to text NOT NULL,
	state     text NOT NULL CHECK (state IN ('started', 'succeeded', 'refused')),
	id        text NOT NULL DEFAULT '',
	code      text NOT NULL DEFAULT '',
	nothing   boolean NOT NULL DEFAULT false,
	amount    text NOT NULL,
	currency  text NOT NULL,
	at        timestamptz NOT NULL DEFAULT now()
);
-- Millrace lists what took effect, by time.
CREATE INDEX IF NOT EXISTS payment_operations_at_idx ON payment_operations (at, key);
-- A void looks for a capture of its authorisation.
CREATE INDEX IF NOT EXISTS payment_operations_refers_to_idx ON payment_operations (refers_to)`

// Create makes the table.
func (l *Ledger) Create(ctx context.Context) error {
	_, err := l.pool.Exec(ctx, schema)
	return err
}

// Lock runs do while no other request works on the order. Two requests with one key take turns, and so do an undo and
// the operation that it undoes. The lock ends with its connection, so a process that dies leaves no lock.
func (l *Ledger) Lock(ctx context.Context, orderID string, do func(*pgx.Conn) error) error {
	c, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	if _, err := c.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, orderID); err != nil {
		return err
	}
	defer func() {
		unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := c.Exec(unlock, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, orderID); err != nil {
			_ = c.Conn().Close(unlock) // the server unlocks what a closed connection held
		}
	}()
	return do(c.Conn())
}

const columns = `key, path, order_id, body, refers_to, state, id, code, nothing, amount, currency, at`

// Find returns the operation of a key, or nil if the key never arrived.
func (l *Ledger) Find(ctx context.Context, key string) (*Operation, error) {
	return one(l.pool.Query(ctx, `SELECT `+columns+` FROM payment_operations WHERE key = $1`, key))
}

// captured reports whether a capture of the authorisation took effect.
func captured(ctx context.Context, c *pgx.Conn, authorization string) (bool, error) {
	var yes bool
	err := c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM payment_operations
		WHERE refers_to = $1 AND path = 'captures' AND state = 'succeeded')`, authorization).Scan(&yes)
	return yes, err
}

// voided reports whether a void of the authorisation took effect.
func voided(ctx context.Context, c *pgx.Conn, authorization string) (bool, error) {
	var yes bool
	err := c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM payment_operations
		WHERE refers_to = $1 AND path = 'voids' AND state = 'succeeded')`, authorization).Scan(&yes)
	return yes, err
}

func find(ctx context.Context, c *pgx.Conn, key string) (*Operation, error) {
	return one(c.Query(ctx, `SELECT `+columns+` FROM payment_operations WHERE key = $1`, key))
}

func one(rows pgx.Rows, err error) (*Operation, error) {
	if err != nil {
		return nil, err
	}
	op, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[Operation])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // a missing key is an answer
	}
	return op, err
}

// save inserts the operation or replaces its outcome.
func save(ctx context.Context, c *pgx.Conn, op *Operation) error {
	_, err := c.Exec(ctx, `INSERT INTO payment_operations
		(key, path, order_id, body, refers_to, state, id, code, nothing, amount, currency)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (key) DO UPDATE SET state = EXCLUDED.state, id = EXCLUDED.id, code = EXCLUDED.code,
			nothing = EXCLUDED.nothing, at = now()`,
		op.Key, op.Path, op.OrderID, op.Body, op.RefersTo, op.State, op.ID, op.Code, op.Nothing, op.Amount, op.Currency)
	return err
}

// List returns the operations that took effect from since until before until, after a cursor, at most limit of them.
func (l *Ledger) List(
	ctx context.Context, since, until, at time.Time, key string, limit int,
) ([]Operation, error) {
	rows, err := l.pool.Query(ctx, `SELECT `+columns+` FROM payment_operations
		WHERE at >= $1 AND at < $2 AND (at, key) > ($3, $4) AND state = 'succeeded' AND NOT nothing
		ORDER BY at, key LIMIT $5`, since, until, at, key, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Operation])
}
