package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Errors about keys.
var (
	// ErrKeyRefused reports that a key is malformed, unknown, wrong, expired or revoked, and not which of these.
	ErrKeyRefused = errors.New("key refused")
	// ErrKeyNotFound reports that there is no key with an id.
	ErrKeyNotFound = errors.New("key not found")
)

// Key is an API key without its secret. Only a hash of the secret is stored.
type Key struct {
	ID         string
	LastFour   string // the end of the secret, to tell keys apart
	Role       roles.Role
	CustomerID string // of a customer's key
	Name       string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not revoked
}

// Usable reports whether the key may be used at a time.
func (k Key) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(now))
}

// NewKey is a request to make a key.
type NewKey struct {
	Role       roles.Role
	CustomerID string // required for a customer's key, and refused for others
	Name       string
	ExpiresAt  time.Time // zero: never
}

// Validate returns nil or an *orders.InvalidError.
func (k NewKey) Validate() error {
	var bad []orders.FieldError
	when := func(is bool, field, message string) {
		if is {
			bad = append(bad, orders.FieldError{Field: field, Message: message})
		}
	}
	when(!k.Role.Known(), "role", "must be admin, operator, viewer, service or customer")
	when((k.Role == roles.Customer) != (k.CustomerID != ""), "customer",
		"is needed for the role customer, and for no other")
	if k.CustomerID != "" {
		problem := orders.CheckCustomerID(k.CustomerID)
		when(problem != "", "customer", problem)
	}
	problem := orders.CheckLine(k.Name)
	when(problem != "", "name", problem)
	if bad == nil {
		return nil
	}
	return &orders.InvalidError{Fields: bad}
}

// MadeKey is a new key with its text. The text is not stored: an operator that loses it makes another key.
type MadeKey struct {
	Key
	Text string
}

// MakeKeys makes keys, and notes the actor in the audit log. The requests must be valid.
func (s *Credentials) MakeKeys(ctx context.Context, requests []NewKey, by Actor) ([]MadeKey, error) {
	now := timestamp(s.now())
	made := make([]MadeKey, len(requests))
	entries := make([]AuditEntry, len(requests))
	params := new(dbsqlc.KeysInsertParams)
	for i, r := range requests {
		id, secret := newCredential()
		key := Key{
			ID: id, LastFour: secret[len(secret)-keyLastFour:], Role: r.Role, CustomerID: r.CustomerID, Name: r.Name,
			CreatedAt: now, ExpiresAt: timestamp(r.ExpiresAt),
		}
		made[i] = MadeKey{key, keyPrefix + id + "_" + secret}
		entries[i] = AuditEntry{Actor: by, Action: "keys.create", Target: id, Detail: map[string]any{"role": key.Role}}
		params.Ids = append(params.Ids, key.ID)
		params.SecretsSha256 = append(params.SecretsSha256, hashSecret(secret))
		params.LastFour = append(params.LastFour, key.LastFour)
		params.Roles = append(params.Roles, string(key.Role))
		params.CustomerIds = append(params.CustomerIds, key.CustomerID)
		params.Names = append(params.Names, key.Name)
		params.CreatedAt = append(params.CreatedAt, key.CreatedAt)
		params.ExpiresAt = append(params.ExpiresAt, key.ExpiresAt)
	}
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.KeysInsert(ctx, tx, params); err != nil {
			return err
		}
		failpoint.Hit("keys.inserted")
		return s.audit(ctx, tx, entries)
	})
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	failpoint.Hit("keys.made")
	return made, nil
}

// RevokeKeys revokes keys at once, and notes the actor in the audit log. Repeating it is harmless. Error:
// ErrKeyNotFound if one of the keys does not exist; then no key is revoked.
func (s *Credentials) RevokeKeys(ctx context.Context, ids []string, by Actor) ([]Key, error) {
	entries := make([]AuditEntry, len(ids))
	for i, id := range ids {
		entries[i] = AuditEntry{Actor: by, Action: "keys.revoke", Target: id}
	}
	var rows []dbsqlc.ApiKey
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		rows, err = s.queries.KeysRevoke(ctx, tx, &dbsqlc.KeysRevokeParams{Ids: ids, RevokedAt: timestamp(s.now())})
		switch {
		case err != nil:
			return err
		case len(rows) != len(ids):
			return ErrKeyNotFound
		}
		return s.audit(ctx, tx, entries)
	})
	if err != nil {
		return nil, fmt.Errorf("revoke keys: %w", err)
	}
	return decodeKeys(rows), nil
}

// Keys lists keys, newest first, including revoked and expired ones.
func (s *Credentials) Keys(ctx context.Context, limit int) ([]Key, error) {
	rows, err := s.queries.KeysList(ctx, s.db, int32(limit))
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return decodeKeys(rows), nil
}

// KeysExist reports whether a key was ever made, and whether one can be used now.
func (s *Credentials) KeysExist(ctx context.Context) (made, usable bool, err error) {
	row, err := s.queries.KeysExist(ctx, s.db, s.now())
	if err != nil {
		return false, false, fmt.Errorf("look for keys: %w", err)
	}
	return row.Made, row.Usable, nil
}

// VerifyKey returns the key with a text. An unknown id costs the same as a wrong secret, and gets the same answer.
//
// Errors: ErrKeyRefused; any other error is the database's and reports nothing about the key.
func (s *Credentials) VerifyKey(ctx context.Context, text string) (Key, error) {
	id, secret, ok := parseCredential(text)
	if !ok {
		return Key{}, ErrKeyRefused
	}
	row, err := s.queries.KeyRead(ctx, s.db, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		row.SecretSha256 = make([]byte, sha256.Size) // no secret has this hash
	case err != nil:
		return Key{}, fmt.Errorf("read key: %w", err)
	}
	right := subtle.ConstantTimeCompare(row.SecretSha256, hashSecret(secret)) == 1
	key := decodeKey(row)
	if !right || !key.Usable(s.now()) {
		return Key{}, ErrKeyRefused
	}
	return key, nil
}

// Key reads a key by its id. Error: ErrKeyNotFound.
func (s *Credentials) Key(ctx context.Context, id string) (Key, error) {
	row, err := s.queries.KeyRead(ctx, s.db, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Key{}, ErrKeyNotFound
	case err != nil:
		return Key{}, fmt.Errorf("read key: %w", err)
	}
	return decodeKey(row), nil
}

func decodeKeys(rows []dbsqlc.ApiKey) []Key {
	keys := make([]Key, len(rows))
	for i, row := range rows {
		keys[i] = decodeKey(row)
	}
	return keys
}

func decodeKey(row dbsqlc.ApiKey) Key {
	return Key{
		ID: row.ID, LastFour: row.LastFour, Role: roles.Role(row.Role), CustomerID: row.CustomerID, Name: row.Name,
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.Time.UTC(), RevokedAt: row.RevokedAt.Time.UTC(),
	}
}
