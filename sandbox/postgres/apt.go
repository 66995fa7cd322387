//go:build darwin || linux

package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// installPattern matches: Inst postgresql-15 (15.18-0+deb12u1 Debian:12.11/oldstable [amd64])
var installPattern = regexp.MustCompile(`(?m)^Inst (\S+) `)

// fetchApt downloads the distribution's server and the libraries that are missing, and unpacks them into dir. major
// selects a version; 0 is the distribution's own. Unlike an installation, it needs no root, and makes no service, no
// user and no system-wide cluster.
func fetchApt(ctx context.Context, dir string, major int) error {
	aptGet, err := client("apt-get")
	if err != nil {
		return err
	}
	dpkg, err := client("dpkg-deb")
	if err != nil {
		return err
	}
	name := "postgresql"
	if major != 0 {
		name += "-" + strconv.Itoa(major)
	}
	plan, err := run(ctx, dir, aptGet, "install", "--simulate", "--no-install-recommends", name)
	if err != nil {
		return err
	}
	packages := serverPackages(plan)
	if len(packages) == 0 {
		return fmt.Errorf("apt-get has no %s to install", name)
	}
	if _, err := run(ctx, dir, aptGet, append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	debs, _ := filepath.Glob(escapeGlob(dir) + "/*.deb")
	for _, deb := range debs {
		if _, err := run(ctx, dir, dpkg, "-x", deb, dir); err != nil {
			return err
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	return nil
}

// serverPackages selects the server and its libraries from the packages of an installation. The rest, such as perl and
// debconf, serves the packages' scripts, which do not run. libc is the system's: a machine has one.
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
