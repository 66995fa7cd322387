package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	database = "millrace"
	patience = 5 * time.Minute // the machine may be busy with other work
)

// cluster is three nodes that Patroni manages, and three machines of etcd.
type cluster struct {
	machines []*machine
	etcds    []*machine
	client   *http.Client
}

// member is a node, as Patroni sees it.
type member struct{ Name, Role, State string }

// standsBy reports whether Patroni may promote the node without losing a commit.
func (m member) standsBy() bool { return m.Role == "sync_standby" || m.Role == "quorum_standby" }

func newCluster(ctx context.Context, dir, config, patroni string) (*cluster, error) {
	if err := newNetwork(ctx); err != nil {
		return nil, err
	}
	if err := copyConfig(config, filepath.Join(dir, "config")); err != nil {
		return nil, err
	}
	c := &cluster{client: &http.Client{Timeout: 2 * time.Second}}
	for k, machines := range map[kind]*[]*machine{etcds(): &c.etcds, nodes(): &c.machines} {
		for number := 1; number <= 3; number++ {
			m, err := newMachine(ctx, dir, config, patroni, k, number)
			if err != nil {
				return nil, err
			}
			if err := m.boot(); err != nil {
				return nil, err
			}
			*machines = append(*machines, m)
		}
	}
	return c, c.awaitWhole(ctx)
}

// stop ends all machines.
func (c *cluster) stop() {
	for _, m := range slices.Concat(c.machines, c.etcds) {
		m.Kill()
	}
}

// awaitWhole waits until all three nodes stream, one of them synchronously, and Patroni knows which.
func (c *cluster) awaitWhole(ctx context.Context) error {
	if launch.Eventually(ctx, patience, func() bool { return c.whole(ctx) }) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	members, err := c.members(ctx)
	return errors.Join(err, fmt.Errorf("the cluster is not whole after %s: %v", patience, members))
}

func (c *cluster) whole(ctx context.Context) bool {
	leader, err := c.leader(ctx)
	if err != nil {
		return false
	}
	members, err := c.members(ctx)
	if err != nil || len(members) != len(c.machines) ||
		!slices.ContainsFunc(members, func(m member) bool { return m.standsBy() }) {
		return false
	}
	conn, err := leader.connect(ctx)
	if err != nil {
		return false
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var streaming, synchronous int
	err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'streaming'),
			count(*) FILTER (WHERE sync_state IN ('sync', 'quorum'))
		FROM pg_stat_replication WHERE application_name = ANY ($1)`, c.names()).Scan(&streaming, &synchronous)
	return err == nil && streaming == len(c.machines)-1 && synchronous >= 1
}

func (c *cluster) names() (names []string) {
	for _, m := range c.machines {
		names = append(names, m.name)
	}
	return names
}

// leader returns the primary, of which Patroni and Postgres must be of one mind.
func (c *cluster) leader(ctx context.Context) (*machine, error) {
	for _, m := range c.machines {
		if c.ask(ctx, m, http.MethodGet, "/primary", nil, nil) == nil {
			return m, nil
		}
	}
	return nil, errors.New("there is no leader")
}

// members asks any node which nodes there are.
func (c *cluster) members(ctx context.Context) ([]member, error) {
	var errs error
	for _, m := range c.machines {
		var view struct{ Members []member }
		err := c.ask(ctx, m, http.MethodGet, "/cluster", nil, &view)
		if err == nil {
			return view.Members, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

// switchover asks Patroni to make the synchronous standby the primary.
func (c *cluster) switchover(ctx context.Context, leader *machine) error {
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(members, func(m member) bool { return m.standsBy() })
	if at < 0 {
		return errors.New("there is no synchronous standby")
	}
	client := *c.client
	client.Timeout = time.Minute // the answer comes when the switchover is done
	return (&cluster{client: &client}).ask(ctx, leader, http.MethodPost, "/switchover",
		map[string]string{"leader": leader.name, "candidate": members[at].Name}, nil)
}

// ask sends a request to Patroni's API on a node.
func (c *cluster) ask(ctx context.Context, m *machine, method, path string, body, into any) error {
	credential := m.settings["PATRONI_RESTAPI_USERNAME"] + ":" + m.settings["PATRONI_RESTAPI_PASSWORD"]
	return launch.Ask(ctx, c.client.Do, method, "http://"+m.address+":8008"+path, body, into,
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credential)))
}

// awaitPromotion waits until a node other than old is a primary. It asks Postgres: Patroni notices later.
func (c *cluster) awaitPromotion(ctx context.Context, old *machine) (*machine, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type promoted struct {
		m  *machine
		at time.Time
	}
	found := make(chan promoted, len(c.machines))
	for _, m := range c.machines {
		if m != old {
			go func() {
				if m.awaitPrimary(ctx) {
					found <- promoted{m, time.Now()}
				}
			}()
		}
	}
	select {
	case p := <-found:
		return p.m, p.at, nil
	case <-ctx.Done():
		return nil, time.Time{}, fmt.Errorf("no standby was promoted: %w", ctx.Err())
	}
}

// awaitPrimary reports whether the node becomes a primary before ctx ends.
func (m *machine) awaitPrimary(ctx context.Context) bool {
	for ctx.Err() == nil {
		conn, err := m.connect(ctx)
		for err == nil && ctx.Err() == nil {
			var standby bool
			asking, cancel := context.WithTimeout(ctx, 2*time.Second)
			err = conn.QueryRow(asking, "SELECT pg_is_in_recovery()").Scan(&standby)
			cancel()
			if err == nil && !standby {
				_ = conn.Close(context.WithoutCancel(ctx))
				return true
			}
			_ = launch.Pause(ctx, 20*time.Millisecond)
		}
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		_ = launch.Pause(ctx, 100*time.Millisecond)
	}
	return false
}

// freeze stops all processes of a node. New ones may appear meanwhile, so it does so twice.
func (m *machine) freeze() error {
	return errors.Join(m.signal(syscall.SIGSTOP, ""), m.signal(syscall.SIGSTOP, ""))
}
