package store_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Whatever is asked of a database that cannot be reached fails with ErrUnavailable, so that callers answer 503. The
// test calls every exported method of every type of the Store: a new query is in it by itself.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/none?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s, err := store.New(store.Config{DB: pool})
	require.NoError(t, err)
	texts := map[string]string{ // where a text must have a form to be looked up
		"Notifications.HandOver":   orders.StepKey(orders.NewID(), orders.SendEmail, 1),
		"Notifications.TakeBack":   orders.StepKey(orders.NewID(), orders.SendEmail, 1),
		"Credentials.VerifyKey":    "mr_" + strings.Repeat("a", 12) + "_" + strings.Repeat("0", 43),
		"Credentials.VerifyTicket": strings.Repeat("0", 43),
	}
	var mu sync.Mutex
	failed := map[string]error{}
	var calling sync.WaitGroup // some wait, in case the database comes back
	nouns := reflect.ValueOf(s).Elem()
	for i := range nouns.NumField() {
		if !nouns.Type().Field(i).IsExported() {
			continue
		}
		noun, name := nouns.Field(i), nouns.Type().Field(i).Name
		if name == "Holds" {
			continue // what this process knows, without the database
		}
		require.LessOrEqual(t, noun.NumMethod(), 20, "%s has many methods: it may be two nouns", name)
		for m := range noun.NumMethod() {
			method, label := noun.Method(m), name+"."+noun.Type().Method(m).Name
			calling.Go(func() {
				out := call(t, method, texts[label])
				if len(out) == 0 || !isError(method.Type().Out(len(out)-1)) || label == "Orders.ProbeWrites" {
					return // it asks nothing of the database, or only if placements have failed
				}
				err, _ := reflect.TypeAssert[error](out[len(out)-1])
				mu.Lock()
				defer mu.Unlock()
				failed[label] = err
			})
		}
	}
	calling.Wait()
	for label, err := range failed {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", label, err)
			continue
		}
		for line := range strings.Lines(err.Error()) { // one for each part that failed
			require.Equal(t, 1, strings.Count(line, store.ErrUnavailable.Error()), "%s: %s", label, line)
		}
	}
	require.Greater(t, len(failed), 60)
}

func isError(t reflect.Type) bool { return t == reflect.TypeFor[error]() }

// call calls a method with as little as is something: zero values, and lists of one of them.
func call(t *testing.T, method reflect.Value, text string) []reflect.Value {
	t.Helper()
	kind := method.Type()
	var in []reflect.Value
	for i := range kind.NumIn() {
		switch of := kind.In(i); {
		case of == reflect.TypeFor[context.Context]():
			in = append(in, reflect.ValueOf(t.Context()))
		case of.Kind() == reflect.String:
			in = append(in, reflect.ValueOf(text).Convert(of))
		case of == reflect.TypeFor[store.NewHold]():
			in = append(in, reflect.ValueOf(store.NewHold{Reason: "test"}))
		case kind.IsVariadic() && i == kind.NumIn()-1:
		case of.Kind() == reflect.Slice:
			list := reflect.MakeSlice(of, 1, 1)
			in = append(in, list)
		case of.Kind() == reflect.Pointer:
			in = append(in, reflect.New(of.Elem()))
		default:
			in = append(in, reflect.Zero(of))
		}
	}
	return method.Call(in)
}
