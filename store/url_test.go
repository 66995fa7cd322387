package store_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// TestDatabaseURL refuses what may have a part of the password elsewhere than in the password, and shows nothing of it.
func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	for _, reserved := range []string{"/", "#", "?", "@", "%", "@/#?", "/@", "#@", "?@", "?a=b&", "[", "\\", " ", "\n"} {
		for _, rest := range []string{
			"127.0.0.1:26550/base", "127.0.0.1/base?sslmode=disable", "db1,db2:5433/base", "[::1]/base", "/base?host=/tmp", "",
		} {
			for _, password := range []string{"hush" + reserved + "hush", "12" + reserved + "hush", reserved + "hush"} {
				for _, scheme := range []string{"postgres", "postgresql", "Postgres", "mysql"} {
					url := scheme + "://shop:" + password + "@" + rest
					if err := store.CheckDatabaseURL(url); err != nil {
						require.NotContains(t, err.Error(), "hush")
						require.NotContains(t, err.Error(), "12")
						continue
					}
					c, err := pgx.ParseConfig(url)
					require.NoError(t, err)
					require.Equal(t, password, c.Password, "none of it is elsewhere")
				}
			}
		}
	}
	for _, reserved := range []string{"/", "#", "?", "@"} {
		require.ErrorContains(t, store.CheckDatabaseURL("postgres://shop:hush"+reserved+"secret@db/base"), "percent-encode")
	}
	for _, url := range []string{
		"postgres://shop:p%40ss%2Fw%23rd@127.0.0.1:26550/base", "postgres://db1,db2:5433,db3/shop?sslmode=require",
		"postgresql://shop@/base?host=/var/run/postgresql", "host=127.0.0.1 user=shop password='p@ss/w#rd'",
		"postgres://shop:a:b@db/base", "postgres://[::1]:5432/base",
		"postgres://db/base?default_query_exec_mode=cache_describe",
		"postgres://db/base?default_query_exec_mode=describe_exec",
	} {
		require.NoError(t, store.CheckDatabaseURL(url), url)
	}
	for setting, want := range map[string]string{
		"default_query_exec_mode=exec":                                               "default_query_exec_mode=exec in",
		"default_query_exec_mode=simple_protocol":                                    "=simple_protocol in",
		"statement_cache_capacity=0":                                                 "statement_cache_capacity=0",
		"default_query_exec_mode=cache_describe&description_cache_capacity=0":        "description_cache_capacity=0",
		"default_query_exec_mode=" + strings.Repeat("x", 3) + "&password=hushsecret": "malformed",
	} {
		require.ErrorContains(t, store.CheckDatabaseURL("postgres://db/base?"+setting), want)
	}
}
