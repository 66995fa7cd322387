package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	rabbitContender   = "RabbitMQ, Redis and Postgres"
	rabbitWithHistory = "RabbitMQ, Redis and Postgres, each step recorded"
	dbosContender     = "DBOS workflow"
)

// rabbitServer is the bench's own RabbitMQ, from Debian's package. It has the package's settings, except for those that
// isolate it and that keep its idle schedulers off the processors.
type rabbitServer struct {
	*process
	names *process // epmd, which knows Erlang nodes by name
	url   string
}

// startRabbit starts RabbitMQ in a directory. It takes a few seconds.
func startRabbit(ctx context.Context, dir string) (*rabbitServer, error) {
	home := filepath.Join(dir, "rabbitmq")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	scripts, err := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	if err != nil || len(scripts) == 0 {
		return nil, errors.New("there is no rabbitmq-server")
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = launch.FreePort(ctx); err != nil {
			return nil, err
		}
	}
	env := []string{
		"HOME=" + home, "LANG=C.UTF-8", "ERL_EPMD_PORT=" + strconv.Itoa(ports[0]), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=bench@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(ports[1]), "RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[2]),
		"RABBITMQ_MNESIA_BASE=" + home, "RABBITMQ_LOG_BASE=" + home,
		"RABBITMQ_PID_FILE=" + filepath.Join(home, "pid"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(home, "none"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(home, "plugins"),
		// RabbitMQ's runtime guide recommends this for a machine that is shared.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none",
	}
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return nil, err
	}
	// Without -daemon it would outlive us.
	names, err := spawn(ctx, env, epmd, "-d", "-port", strconv.Itoa(ports[0]), "-address", "127.0.0.1")
	if err != nil {
		return nil, fmt.Errorf("start epmd: %w", err)
	}
	p, err := spawn(ctx, env, scripts[len(scripts)-1])
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start RabbitMQ: %w", err), names.stop())
	}
	r := &rabbitServer{p, names, "amqp://guest:guest@" + launch.Address(ports[1]) + "/"}
	if err := p.AwaitPort(ctx, launch.Address(ports[1])); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *rabbitServer) stop() error {
	return errors.Join(r.Stop(syscall.SIGTERM, stopPatience), r.names.Stop(syscall.SIGTERM, stopPatience))
}

// rabbitContender is the API and the consumers in one process, in addition to the two servers.
func (b *bench) rabbitContender(name string, rabbit *rabbitServer, redis *redisServer) contender {
	return contender{name, baselineTemplate, func(ctx context.Context, d *database, w *world) (*system, error) {
		args := []string{
			"baseline", "rabbit", "--database", d.url, "--rabbit", rabbit.url, "--redis", redis.addr, "--providers", w.url(),
		}
		if name == rabbitWithHistory {
			args = append(args, "--record")
		}
		p, err := spawn(ctx, nil, b.self, args...)
		if err != nil {
			return nil, err
		}
		return &system{name, p, []int{p.PID(), rabbit.PID(), redis.PID()}, p.stop}, nil
	}, baselineLatencies}
}

// dbosContender is the API and the workflows in one process.
func (b *bench) dbosContender() contender {
	return contender{dbosContender, baselineTemplate, func(ctx context.Context, d *database, w *world) (*system, error) {
		p, err := spawn(ctx, nil, b.self, "baseline", "dbos", "--database", d.url, "--providers", w.url())
		if err != nil {
			return nil, err
		}
		return &system{dbosContender, p, []int{p.PID()}, p.stop}, nil
	}, baselineLatencies}
}
