package main

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/store"
)

// localOnly answers only this machine as long as nothing asks for credentials. always is for what never asks.
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

// lookForKeyEvery bounds how long a process stays open after the first key was made, in any process.
const lookForKeyEvery = time.Second

// closeOnFirstKey ends open mode for good when the database has a key. While the database cannot be asked nothing
// changes: without it the API does nothing either.
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
			n.logger.WarnContext(ctx, "open no more: there is a key, and requests need one from now on")
			return
		}
	}
}
