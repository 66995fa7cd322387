package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// The lab is at the last address of the network of deploy/patroni, with Millrace and its clients.
const (
	bridge     = "lab"
	labAddress = "10.0.0.254/24"
)

// run runs a command of the system until it ends.
func run(ctx context.Context, line string) error {
	words := strings.Fields(line)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// runAll runs commands until one fails.
func runAll(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if err := run(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// newNetwork makes a bridge, to which the nodes are plugged. The lab has namespaces of its own, so its names and
// addresses meet no others, and all of this disappears with the lab.
func newNetwork(ctx context.Context) error {
	return runAll(ctx,
		"mount -t tmpfs tmpfs /run", // the names of network namespaces
		"ip link set lo up",
		"ip link add "+bridge+" type bridge",
		"ip addr add "+labAddress+" dev "+bridge,
		"ip link set "+bridge+" up",
	)
}

// plugIn makes the network of a node.
func (m *machine) plugIn(ctx context.Context) error {
	return runAll(ctx,
		"ip netns add "+m.name,
		"ip link add "+m.name+" type veth peer name eth0 netns "+m.name,
		"ip -n "+m.name+" addr add "+m.address+"/24 dev eth0",
		"ip -n "+m.name+" link set lo up",
		"ip -n "+m.name+" link set eth0 up",
		"ip link set "+m.name+" up",
		"ip link set "+m.name+" master "+bridge,
	)
}

// cutOff loses all that the node sends and is sent. Neither side is told: connections stay open, and are silent.
func (m *machine) cutOff(ctx context.Context) error {
	return run(ctx, "ip link set "+m.name+" nomaster")
}

func (m *machine) reconnect(ctx context.Context) error {
	return run(ctx, "ip link set "+m.name+" master "+bridge)
}
