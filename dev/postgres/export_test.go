//go:build darwin || linux

package postgres

import (
	"context"
	"log/slog"
)

// For postgres_test: fetching, though this machine may have binaries installed.

func FetchFrom(ctx context.Context, name, cache string) (bin string, err error) {
	for _, s := range sources() {
		if s.name == name {
			b, err := s.install(ctx, cache)
			return b.dir, err
		}
	}
	panic("no source " + name)
}

func Fetch(ctx context.Context, cache string) (bin string, err error) {
	b, err := fetch(ctx, cache, account{}, slog.New(slog.DiscardHandler))
	return b.dir, err
}

const NPM = "npm-" + npmVersion

var ServerPackages = serverPackages
