package main

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/store"
)

// localOnly accepts only requests from this machine while open returns true: then requests need no credentials. always
// is for addresses that never need any.
func localOnly(open func() bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open() {
			if err := auth.CheckLocal(r); err != nil {
				http.Error(w, err.Error(), http.StatusMisdirectedRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func always() bool { return true }

// lookForKeyEvery bounds how long a process stays open after any process made the first key.
const lookForKeyEvery = time.Second

// closeOnFirstKey ends open mode for good when the database has a key. While the database does not answer, open mode
// stays: the API cannot do anything without the database either.
func (n *node) closeOnFirstKey(ctx context.Context, s *store.Store) {
	tick := time.NewTicker(lookForKeyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if made, _, err := s.Credentials.KeysExist(ctx); err == nil && made {
			close(n.closed)
			n.logger.WarnContext(ctx, "closed, a key exists and requests need one from now on")
			return
		}
	}
}
