package auth

import (
	"context"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// Keys that cannot be read without a panic are keys that cannot be read.
func TestKeysThatPanic(t *testing.T) {
	t.Parallel()
	s := &keySet{now: time.Now, fetch: func(context.Context) ([]jose.JSONWebKey, error) { panic("odd key") }}
	_, err := s.find(t.Context(), jose.Header{KeyID: "a"})
	require.ErrorIs(t, err, ErrNoIssuer)
	require.Nil(t, s.reading, "the next request may try again")
}
