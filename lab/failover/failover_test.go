package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-orders/millrace/sandbox/simulator"
)

const config = "../../deploy/patroni"

// TestSettings: the machines of a kind differ in their names and their own addresses.
func TestSettings(t *testing.T) {
	t.Parallel()
	differ := func(k kind) (second, changed map[string]string) {
		t.Helper()
		first, err := k.settings(config, 1)
		require.NoError(t, err)
		second, err = k.settings(config, 2)
		require.NoError(t, err)
		require.Len(t, second, len(first))
		changed = map[string]string{}
		for key, value := range second {
			if first[key] != value {
				changed[key] = value
			}
		}
		return second, changed
	}
	node, changed := differ(nodes())
	require.Equal(t, map[string]string{
		"PATRONI_NAME": "db2", "PATRONI_RESTAPI_CONNECT_ADDRESS": "10.0.0.2:8008",
		"PATRONI_POSTGRESQL_CONNECT_ADDRESS": "10.0.0.2:5432",
	}, changed)
	etcd, changed := differ(etcds())
	require.Equal(t, map[string]string{
		"ETCD_NAME": "etcd2", "ETCD_LISTEN_PEER_URLS": "http://10.0.0.12:2380",
		"ETCD_LISTEN_CLIENT_URLS": "http://10.0.0.12:2379", "ETCD_ADVERTISE_CLIENT_URLS": "http://10.0.0.12:2379",
		"ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://10.0.0.12:2380",
	}, changed)
	for number := 1; number <= 3; number++ {
		require.Contains(t, etcd["ETCD_INITIAL_CLUSTER"], "http://"+etcds().address(number)+":2380")
		require.Contains(t, node["PATRONI_ETCD3_HOSTS"], etcds().address(number)+":2379")
	}
}

func TestSettingsOfNoUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := nodes().settings(dir, 1)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, nodes().env), []byte("# why\n\nPATRONI_NAME db1\n"), 0o600))
	_, err = nodes().settings(dir, 1)
	require.ErrorContains(t, err, `patroni.env: "PATRONI_NAME db1" is not a setting`)
}

// TestPromise checks the settings that the promise of no lost order needs: without one of these, Patroni may promote a
// standby that lacks accepted orders, or two nodes may lead at once.
func TestPromise(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(config, "patroni.yml"))
	require.NoError(t, err)
	var file struct {
		Bootstrap struct {
			DCS struct {
				TTL          int    `yaml:"ttl"`
				LoopWait     int    `yaml:"loop_wait"`
				RetryTimeout int    `yaml:"retry_timeout"`
				Synchronous  string `yaml:"synchronous_mode"`
				Strict       bool   `yaml:"synchronous_mode_strict"`
				Postgres     struct {
					Rewind     bool              `yaml:"use_pg_rewind"`
					Parameters map[string]string `yaml:"parameters"`
				} `yaml:"postgresql"`
			} `yaml:"dcs"`
		} `yaml:"bootstrap"`
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	dcs := file.Bootstrap.DCS
	require.Equal(t, "quorum", dcs.Synchronous)
	require.True(t, dcs.Strict)
	require.LessOrEqual(t, dcs.LoopWait+2*dcs.RetryTimeout, dcs.TTL, "a leader that loses its lease must know in time")
	require.True(t, dcs.Postgres.Rewind)
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		require.NotContains(t, dcs.Postgres.Parameters, name)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	serving := func(r result) time.Duration { return r.serving }
	var results []result
	for i := range 100 {
		results = append(results, result{serving: time.Duration(100-i) * time.Second})
	}
	require.Equal(t, 50*time.Second, quantile(results, 0.5, serving))
	require.Equal(t, 99*time.Second, quantile(results, 0.99, serving))
	require.Equal(t, 95*time.Second, quantile(results[5:15], 0.99, serving), "the slowest of ten")
	require.Equal(t, 100*time.Second, quantile(results[:1], 0.5, serving))
}

func TestJudge(t *testing.T) {
	t.Parallel()
	good := report{results: []result{{fault: "f", serving: target}}, checked: true}
	require.NoError(t, good.judge())
	slow := report{results: []result{{serving: target + time.Second}}}
	require.ErrorContains(t, slow.judge(), "serving again takes 11.0 s at p99")
	lost := report{results: []result{{fault: "f", lost: 2}}}
	require.ErrorContains(t, lost.judge(), "f: 2 accepted orders were lost")
	wrong := report{results: good.results, wrong: []string{"2 × capture of order 1"}}
	require.ErrorContains(t, wrong.judge(), "2 × capture of order 1")
}

func TestAudit(t *testing.T) {
	t.Parallel()
	state := map[string]string{"1": "completed"}
	var entries []simulator.Entry
	for _, operation := range []string{"authorize", "reserve", "capture", "ship", "send"} {
		entries = append(entries, simulator.Entry{Operation: operation, OrderID: "1"})
	}
	require.Empty(t, audit(entries, state))
	require.Equal(t, []string{"2 × capture of order 1"},
		audit(append(entries, simulator.Entry{Operation: "capture", OrderID: "1"}), state))
	require.Equal(t, []string{"0 × ship of order 1"}, audit(append(entries[:3:3], entries[4]), state))
	require.Equal(t, []string{"refund of order 1, which is completed"},
		audit(append(entries, simulator.Entry{Operation: "refund", OrderID: "1"}), state))
	require.Equal(t, []string{"capture of an order that is not there: 2"},
		audit(append(entries, simulator.Entry{Operation: "capture", OrderID: "2"}), state))
}

func TestLedger(t *testing.T) {
	t.Parallel()
	c := &customers{accepted: map[string]string{}}
	at := time.Now()
	require.True(t, c.note("a", "", attempt{answered: at.Add(time.Second), why: "status 503"}), "it is sent again")
	require.False(t, c.note("a", "1", attempt{answered: at.Add(2 * time.Second), accepted: true}))
	require.Equal(t, 2*time.Second, c.firstAccepted(at))
	require.Equal(t, time.Second, c.lastRefused(at))
	require.Equal(t, "status 503", c.lastRefusal(at))
	require.Empty(t, c.doubled)
	c.note("a", "2", attempt{answered: at.Add(3 * time.Second), accepted: true})
	require.Equal(t, []string{"a"}, c.doubled)
	require.Zero(t, c.lastRefused(at.Add(time.Second)))
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := report{machine: "2 processors", orders: 7, checked: true, results: []result{
		{fault: faults()[0].name, promoted: 20 * time.Second, serving: time.Second, rewound: true},
		{fault: faults()[0].name, promoted: 22 * time.Second, serving: 3 * time.Second},
	}}
	path := filepath.Join(t.TempDir(), "page.md")
	require.ErrorContains(t, r.publish(path), "no such file")
	require.NoError(t, os.WriteFile(path, []byte("before\n"), 0o600))
	require.ErrorContains(t, r.publish(path), "has no "+tableBegin)
	require.NoError(t, os.WriteFile(path, []byte("before\n"+tableBegin+"\nold\n"+tableEnd+"\nafter\n"), 0o600))
	require.NoError(t, r.publish(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), "2 processors; 2 failovers under load, 7 orders:")
	require.Contains(t, string(text), "| "+faults()[0].name+
		" | 2 | 20.0 / 22.0 | 1.0 / 3.0 | 0.0 / 0.0 | 0.0 / 0.0 | 0.0 / 0.0 | 1 | 0 |\n")
	require.Contains(t, string(text), "No order was lost")
	require.NotContains(t, string(text), "old")
	require.True(t, strings.HasPrefix(string(text), "before\n"+tableBegin))
	require.True(t, strings.HasSuffix(string(text), tableEnd+"\nafter\n"))
	r.checked = false
	require.NotContains(t, r.table(), "No order was lost")
}
