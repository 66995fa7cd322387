package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// machine describes the machine of a run.
type machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	MemoryGB int               `json:"memoryGb"`
	Kernel   string            `json:"kernel"`
	Versions map[string]string `json:"versions"`
	Postgres map[string]string `json:"postgresSettings"`
}

func thisMachine(ctx context.Context) machine {
	m := machine{Cores: runtime.NumCPU(), CPU: runtime.GOARCH, Versions: map[string]string{"Go": runtime.Version()}}
	if name := field("/proc/cpuinfo", "model name"); name != "" {
		m.CPU = name
	}
	kilobytes, _ := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	m.MemoryGB = (kilobytes + 1<<19) >> 20
	m.Kernel = firstLine(ctx, "uname", "-sr")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if name, ok := compared()[module.Path]; ok {
				m.Versions[name] = module.Version
			}
		}
	}
	return m
}

// compared lists the modules whose versions are part of the comparison.
func compared() map[string]string {
	return map[string]string{
		"github.com/dbos-inc/dbos-transact-golang": "dbos-transact-golang", "github.com/riverqueue/river": "River",
		"github.com/jackc/pgx/v5": "pgx", "github.com/rabbitmq/amqp091-go": "amqp091-go",
		"github.com/redis/go-redis/v9": "go-redis", "github.com/danielgtaylor/huma/v2": "Huma",
	}
}

// field returns the value of the first line with a name in a file of /proc.
func field(path, name string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// firstLine returns the first line of a program's output; empty if the program is missing.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d GB, %s", m.CPU, m.Cores, m.MemoryGB, m.Kernel)
}
