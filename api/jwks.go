package api

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keySet is the provider's keys, in memory.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	readAt  time.Time
	triedAt time.Time
}

const (
	keysFreshFor = 15 * time.Minute // after which a key that the provider withdrew is no longer good
	keysPause    = 10 * time.Second // between two requests, however many unknown keys are named
	maxKeysBytes = 1 << 20
)

// find returns the keys that a token may be signed with. A key that is not there is looked for at the provider: that
// is how a rotation is noticed.
//
// Errors: ErrUnauthorized if there is none; errNoIssuer.
func (s *keySet) find(ctx context.Context, h jose.Header) ([]crypto.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.match(h)
	now := s.now()
	if len(found) > 0 && now.Sub(s.readAt) < keysFreshFor {
		return found, nil
	}
	if now.Sub(s.triedAt) >= keysPause {
		s.triedAt = now
		keys, err := s.read(ctx)
		switch {
		case err == nil:
			s.keys, s.readAt = keys, now
			found = s.match(h)
		case len(found) == 0:
			return nil, fmt.Errorf("%w: %w", errNoIssuer, err)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case s.readAt.IsZero():
		return nil, errNoIssuer
	default:
		return nil, ErrUnauthorized
	}
}

// match compares the kid, and does nothing else with it: it is a stranger's text.
func (s *keySet) match(h jose.Header) (found []crypto.PublicKey) {
	for _, k := range s.keys {
		if (h.KeyID == "" || k.KeyID == h.KeyID) && (k.Algorithm == "" || k.Algorithm == h.Algorithm) {
			found = append(found, k.Key)
		}
	}
	return found
}

// read asks the provider. Only public keys for signatures are of use.
func (s *keySet) read(ctx context.Context) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read keys: %s", response.Status)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxKeysBytes)).Decode(&set); err != nil {
		return nil, fmt.Errorf("decode keys: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey // of a kind that is not known, perhaps: the others are good all the same
		if err := k.UnmarshalJSON(raw); err == nil && k.Valid() && k.IsPublic() && k.Use != "enc" {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
