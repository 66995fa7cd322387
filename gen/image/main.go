// Command image builds Millrace for several architectures and writes an OCI image layout with them: no daemon, no base
// image, and the same bytes whenever the same commit is built by the same Go. Each architecture has a software bill of
// materials beside it.
//
//	go run ./gen/image --out bin/image --version 1.0.0
//	skopeo copy --all oci:bin/image docker://registry.example/millrace:1.0.0
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "bin/image", "directory of the OCI image layout; it is replaced")
	version := flag.String("version", "dev", "version of Millrace, and the name of the image in the layout")
	arches := flag.String("arch", "amd64,arm64", "architectures")
	roots := flag.String("roots", "/etc/ssl/certs/ca-certificates.crt", "certificates of the authorities to trust")
	flag.Parse()
	if err := build(context.Background(), *out, *version, *roots, strings.Split(*arches, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, out, version, roots string, arches []string) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(out, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	authorities, err := os.ReadFile(roots)
	if err != nil {
		return fmt.Errorf("read the authorities: %w", err)
	}
	work, err := os.MkdirTemp("", "millrace-image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	layout := &layout{dir: out, version: version, created: committed(ctx)}
	for _, arch := range arches {
		binary := filepath.Join(work, arch)
		if err := compile(ctx, binary, arch, version); err != nil {
			return err
		}
		bill, err := billOfMaterials(binary, version)
		if err != nil {
			return err
		}
		if err := layout.add(arch, binary, authorities, bill); err != nil {
			return err
		}
		fmt.Println("built", arch)
	}
	return layout.finish()
}

// compile builds a static binary. Nothing of the machine goes into it.
func compile(ctx context.Context, to, arch, version string) error {
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+version, "-o", to, "./cmd/millrace")
	command.Env = append(command.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build for %s: %w", arch, err)
	}
	return nil
}

// committed is the time of the commit, or SOURCE_DATE_EPOCH: the time of the build would differ each time.
func committed(ctx context.Context) time.Time {
	text := os.Getenv("SOURCE_DATE_EPOCH") //nolint:forbidigo // where every build that can be repeated finds its time
	if text == "" {
		output, _ := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output() // outside of git: 1970
		text = strings.TrimSpace(string(output))
	}
	seconds, _ := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0).UTC()
}
