package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// install installs missing servers from Debian's packages. It starts none of them.
func install(ctx context.Context, log io.Writer, packages ...string) error {
	var missing []string
	for _, name := range packages {
		_, inPath := exec.LookPath(name)
		_, inSbin := os.Stat(filepath.Join("/usr/sbin", name)) // it is not in every user's PATH
		if inPath != nil && inSbin != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("install %v first, which takes root", missing)
	}
	_, _ = fmt.Fprintln(log, "installing", missing)
	for _, args := range [][]string{
		{"update", "-q"}, append([]string{"install", "-qy", "--no-install-recommends"}, missing...),
	} {
		command := exec.CommandContext(ctx, "apt-get", args...)
		// At run level 1 packages do not start their services.
		command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"}
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}
