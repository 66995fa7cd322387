//go:build darwin || linux

package postgres

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Inst postgresql-15 (15.18-0+deb12u1 Debian:12.11/oldstable [amd64])
var installPattern = regexp.MustCompile(`(?m)^Inst (\S+) `)

// fetchApt downloads the distribution's server and the libraries it lacks, and unpacks them into dir. Unlike an
// installation that takes no root, and makes no service, no user and no system-wide cluster.
func fetchApt(ctx context.Context, dir string) error {
	for _, client := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(client); err != nil {
			return err
		}
	}
	plan, err := run(ctx, dir, "apt-get", "install", "--simulate", "--no-install-recommends", "postgresql")
	if err != nil {
		return err
	}
	packages := serverPackages(plan)
	if len(packages) == 0 {
		return errors.New("apt-get has no postgresql to install")
	}
	if _, err := run(ctx, dir, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	debs, _ := filepath.Glob(escapeGlob(dir) + "/*.deb")
	for _, deb := range debs {
		if _, err := run(ctx, dir, "dpkg-deb", "-x", deb, dir); err != nil {
			return err
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	return nil
}

// serverPackages picks the server and the libraries out of what an installation would install. The rest, such as perl
// and debconf, serves the packages' scripts, which are not run. libc stays the system's: one machine has one.
func serverPackages(plan string) []string {
	var packages []string
	for _, match := range installPattern.FindAllStringSubmatch(plan, -1) {
		name := match[1]
		server := strings.HasPrefix(name, "postgresql-") && !strings.HasPrefix(name, "postgresql-c") // client, common
		library := strings.HasPrefix(name, "lib") && !strings.HasPrefix(name, "libc6") &&
			!strings.HasSuffix(name, "-perl")
		if server || library {
			packages = append(packages, name)
		}
	}
	return packages
}
