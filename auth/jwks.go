package auth

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

const (
	keysRefresh  = 5 * time.Minute  // after which keys are read again in the background, if tokens come
	keysFreshFor = 15 * time.Minute // after which a request waits for that read, for keysPatience
	keysPatience = 250 * time.Millisecond
	// keysGoodFor is how long keys are used while the provider does not answer. A key that the provider has withdrawn
	// works for at most this time.
	keysGoodFor  = 24 * time.Hour
	keysPause    = 10 * time.Second // between two reads, however many unknown keys are named
	issuerPause  = 5 * time.Second  // between two attempts while there are no keys at all
	maxKeyWaits  = 64               // requests that wait for a key that is not there
	maxKeysBytes = 1 << 20
)

// keySet is the provider's keys, in memory. They are read in the background, by at most one read at a time. So a token
// whose key is known never waits longer than keysPatience, whatever the provider does and whatever strangers send.
type keySet struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	readAt  time.Time
	triedAt time.Time
	reading *keyRead // nil if no read is running
	waiting int
}

// keyRead is a running read of the keys.
type keyRead struct {
	patience <-chan struct{} // closed when a request that has a key stops waiting
	done     chan struct{}
	err      error // set before done is closed
}

// find returns the keys that a token may be signed with. If the key is missing, find reads the keys from the provider:
// that is how a rotation is noticed.
//
// Errors: ErrUnauthorized if the provider has no such key; ErrNoIssuer; the error of ctx.
func (s *keySet) find(ctx context.Context, h jose.Header) ([]crypto.PublicKey, error) {
	found, read, wait := s.look(ctx, h)
	switch {
	case !wait:
	case len(found) > 0:
		select {
		case <-read.done:
		case <-read.patience:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	default:
		defer s.leave()
		select {
		case <-read.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found = s.match(h)
	switch {
	case len(found) > 0 && s.now().Sub(s.readAt) < keysGoodFor:
		return found, nil
	case s.readAt.IsZero() || len(found) > 0 || read != nil && !wait:
		return nil, ErrNoIssuer
	case read != nil && read.err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoIssuer, read.err)
	default:
		return nil, ErrUnauthorized
	}
}

// look returns the matching keys and, unless they are fresh, the running read. It starts a read when one is due. wait
// reports whether the request must wait for the read; a request that waits without a key must call leave.
func (s *keySet) look(ctx context.Context, h jose.Header) (found []crypto.PublicKey, read *keyRead, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = s.match(h)
	age := s.now().Sub(s.readAt)
	if len(found) > 0 && age < keysRefresh {
		return found, nil, false
	}
	s.start(ctx)
	switch {
	case s.reading == nil || len(found) > 0:
		return found, s.reading, s.reading != nil && age >= keysFreshFor
	case s.waiting >= maxKeyWaits:
		return nil, s.reading, false
	default:
		s.waiting++
		return nil, s.reading, true
	}
}

func (s *keySet) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}

// start begins a read, unless one is running or the last read was too recent.
func (s *keySet) start(ctx context.Context) {
	now, pause := s.now(), keysPause
	if s.readAt.IsZero() {
		pause = issuerPause
	}
	if s.reading != nil || !s.triedAt.IsZero() && now.Sub(s.triedAt) < pause {
		return
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysPatience)
	read := &keyRead{patience: patience.Done(), done: make(chan struct{})}
	s.triedAt, s.reading = now, read
	go func() {
		defer cancel()
		keys, err := s.read(context.WithoutCancel(ctx)) // fetch has its own deadlines
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.keys, s.readAt = keys, now
		}
		read.err, s.reading = err, nil
		close(read.done)
	}()
}

// read fetches the keys. A panic over what the provider sent is an error of this read: in a goroutine of its own it
// would end the process.
func (s *keySet) read(ctx context.Context) (keys []jose.JSONWebKey, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("read keys: panic: %v", v)
		}
	}()
	return s.fetch(ctx)
}

// match compares the kid and does nothing else with it, because any client can send any kid.
func (s *keySet) match(h jose.Header) (found []crypto.PublicKey) {
	for _, k := range s.keys {
		if (h.KeyID == "" || k.KeyID == h.KeyID) && (k.Algorithm == "" || k.Algorithm == h.Algorithm) {
			found = append(found, k.Key)
		}
	}
	return found
}

// readKeys reads the keys from the provider. It keeps only public keys for signatures.
func readKeys(ctx context.Context, client *http.Client, url string) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
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
		var k jose.JSONWebKey // its kind may be unknown, but the other keys are still good
		if err := k.UnmarshalJSON(raw); err == nil && k.Valid() && k.IsPublic() && k.Use != "enc" {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
