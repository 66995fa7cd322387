//go:build deploy

package deploy

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

type descriptor struct {
	MediaType, Digest, ArtifactType string
	Size                            int
	Platform                        *struct{ Architecture, OS string }
}

type manifest struct {
	Manifests []descriptor
	Config    descriptor
	Layers    []descriptor
	Subject   *descriptor
}

var image struct { //nolint:gochecknoglobals // built once
	once sync.Once
	dir  string
}

// builtImage builds the image, once. With -short it has this machine's architecture only.
func builtImage(t *testing.T) string {
	t.Helper()
	image.once.Do(func() {
		image.dir = filepath.Join("..", "bin", "image-test")
		output(t, "go", "run", "./gen/image", "--out", "bin/image-test", "--version", "test", "--arch", arches())
	})
	return image.dir
}

func arches() string {
	if testing.Short() {
		return runtime.GOARCH
	}
	return "amd64,arm64"
}

// blob reads a blob and checks its digest.
func blob(t *testing.T, layout string, d descriptor) []byte {
	t.Helper()
	algorithm, name, _ := strings.Cut(d.Digest, ":")
	require.Equal(t, "sha256", algorithm)
	content, err := os.ReadFile(filepath.Join(layout, "blobs/sha256", name))
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	require.Equal(t, name, hex.EncodeToString(sum[:]))
	require.Len(t, content, d.Size)
	return content
}

func read[T any](t *testing.T, content []byte) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(content, &v))
	return v
}

// images returns the manifests of all architectures, and the bills of materials by the image that they are about.
func images(t *testing.T, layout string) (byArch map[string]descriptor, bills map[string]descriptor) {
	t.Helper()
	top, err := os.ReadFile(filepath.Join(layout, "index.json"))
	require.NoError(t, err)
	byArch, bills = map[string]descriptor{}, map[string]descriptor{}
	for _, d := range read[manifest](t, top).Manifests {
		m := read[manifest](t, blob(t, layout, d))
		for _, d := range m.Manifests {
			byArch[d.Platform.Architecture] = d
		}
		if m.Subject != nil {
			require.Equal(t, "application/vnd.cyclonedx+json", d.ArtifactType)
			bills[m.Subject.Digest] = m.Layers[0]
		}
	}
	return byArch, bills
}

// TestImage: the image has every architecture, runs as a user without rights, lists what is in it, and is the same when
// it is built again, from another directory.
func TestImage(t *testing.T) {
	t.Parallel()
	layout := builtImage(t)
	byArch, bills := images(t, layout)
	require.Len(t, byArch, len(strings.Split(arches(), ",")))
	for arch, d := range byArch {
		m := read[manifest](t, blob(t, layout, d))
		config := read[struct {
			Architecture, OS string
			Config           struct {
				User       string
				Entrypoint []string
				Labels     map[string]string
			}
			Rootfs struct {
				DiffIDs []string `json:"diff_ids"`
			}
		}](t, blob(t, layout, m.Config))
		require.Equal(t, arch, config.Architecture)
		require.Equal(t, "65532:65532", config.Config.User)
		require.Equal(t, []string{"/millrace"}, config.Config.Entrypoint)
		require.Equal(t, "test", config.Config.Labels["org.opencontainers.image.version"])
		require.Len(t, m.Layers, 1)
		require.Len(t, config.Rootfs.DiffIDs, 1)
		bill := read[struct {
			BomFormat  string
			Components []struct{ Name, Version, Purl string }
		}](t, blob(t, layout, bills[d.Digest]))
		require.Equal(t, "CycloneDX", bill.BomFormat)
		names := map[string]string{}
		for _, c := range bill.Components {
			names[c.Name] = c.Version
			require.Equal(t, "pkg:golang/"+c.Name+"@"+c.Version, c.Purl)
		}
		require.Contains(t, names, "github.com/jackc/pgx/v5")
		require.Equal(t, strings.Replace(runtime.Version(), "go", "v", 1), names["std"])
	}

	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	require.NoError(t, os.Mkdir(elsewhere, 0o700))
	output(t, "sh", "-c", `git ls-files -co --exclude-standard -z | tar c --null -T - | tar x -C "$1"`, "sh", elsewhere)
	again := filepath.Join(t.TempDir(), "again")
	outputIn(t, elsewhere, "go", "run", "./gen/image", "--out", again, "--version", "test", "--arch", arches())
	require.Equal(t, files(t, layout), files(t, again))
}

// files returns the digests of all files below a directory.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		sum := sha256.Sum256(content)
		name, _ := filepath.Rel(dir, path)
		all[name] = hex.EncodeToString(sum[:])
		return err
	}))
	return all
}

// unpack writes the root file system of this machine's image.
func unpack(t *testing.T) string {
	t.Helper()
	layout := builtImage(t)
	byArch, _ := images(t, layout)
	m := read[manifest](t, blob(t, layout, byArch[runtime.GOARCH]))
	packed, err := gzip.NewReader(strings.NewReader(string(blob(t, layout, m.Layers[0]))))
	require.NoError(t, err)
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755)) //nolint:gosec // its user must pass through
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return root
		}
		require.NoError(t, err)
		path := filepath.Join(root, header.Name) //nolint:gosec // our own archive
		if header.Typeflag == tar.TypeDir {
			require.NoError(t, os.Mkdir(path, header.FileInfo().Mode()))
			continue
		}
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, header.FileInfo().Mode()))
	}
}
