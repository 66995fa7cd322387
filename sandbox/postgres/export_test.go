//go:build darwin || linux

package postgres

import (
	"context"
	"log/slog"
)

// For postgres_test: fetching, though this machine may have binaries installed.

func FetchFrom(ctx context.Context, name, cache string) (bin string, err error) {
	for _, s := range sources(0) {
		if s.name == name {
			b, err := testFinder(cache).install(ctx, s)
			return b.dir, err
		}
	}
	panic("no source " + name)
}

func Fetch(ctx context.Context, cache string, major int) (bin string, err error) {
	b, err := testFinder(cache).download(ctx, major)
	return b.dir, err
}

func testFinder(cache string) finder {
	owner, err := serverAccount()
	if err != nil {
		panic(err)
	}
	return finder{cache: cache, fetch: true, owner: owner, log: slog.New(slog.DiscardHandler)}
}

const NPM = "npm-18.4.0-beta.17"

var ServerPackages = serverPackages

// Report runs a download that does nothing for as long as during does.
func Report(ctx context.Context, log *slog.Logger, cache string, during func()) {
	f := finder{cache: cache, log: log}
	done := f.report(ctx, source{name: "npm", size: "24 MB"}, cache)
	during()
	done()
}
