package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Media types of the OCI image specification.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeEmpty    = "application/vnd.oci.empty.v1+json"
	typeBill     = "application/vnd.cyclonedx+json"
)

// user is the user and group of the process: no account of any machine.
const user = "65532:65532"

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int               `json:"size"`
	Platform     *platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type document map[string]any

// layout writes an OCI image layout.
type layout struct {
	dir, version string
	created      time.Time

	images []descriptor
	bills  []descriptor
}

func (l *layout) annotations() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    "millrace",
		"org.opencontainers.image.version":  l.version,
		"org.opencontainers.image.source":   "https://github.com/millrace-orders/millrace",
		"org.opencontainers.image.licenses": "MIT",
		"org.opencontainers.image.created":  l.created.Format(time.RFC3339),
	}
}

// add adds an architecture: its image, and its bill of materials, which refers to the image.
func (l *layout) add(arch, binary string, authorities, bill []byte) error {
	tarball, layer, err := l.layer(binary, authorities)
	if err != nil {
		return err
	}
	diff := sha256.Sum256(tarball)
	config, err := l.json(typeConfig, document{
		"architecture": arch, "os": "linux", "created": l.created.Format(time.RFC3339),
		"config": document{
			"User": user, "Entrypoint": []string{"/millrace"}, "Cmd": []string{"serve"}, "WorkingDir": "/",
			"ExposedPorts": document{"8080/tcp": document{}, "8081/tcp": document{}}, "StopSignal": "SIGTERM",
			"Labels": l.annotations(),
		},
		"rootfs":  document{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(diff[:])}},
		"history": []document{{"created": l.created.Format(time.RFC3339), "created_by": "gen/image"}},
	})
	if err != nil {
		return err
	}
	image, err := l.json(typeManifest, document{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []descriptor{layer},
		"annotations": l.annotations(),
	})
	if err != nil {
		return err
	}
	image.Platform = &platform{arch, "linux"}
	l.images = append(l.images, image)

	content, err := l.blob(typeBill, bill)
	if err != nil {
		return err
	}
	empty, err := l.blob(typeEmpty, []byte("{}"))
	if err != nil {
		return err
	}
	referrer, err := l.json(typeManifest, document{
		"schemaVersion": 2, "mediaType": typeManifest, "artifactType": typeBill, "config": empty,
		"layers":  []descriptor{content},
		"subject": descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size},
	})
	if err != nil {
		return err
	}
	referrer.ArtifactType = typeBill
	l.bills = append(l.bills, referrer)
	return os.WriteFile(filepath.Join(l.dir, "sbom-"+arch+".cdx.json"), bill, 0o644)
}

// finish writes the index of all architectures.
func (l *layout) finish() error {
	index, err := l.json(typeIndex, document{
		"schemaVersion": 2, "mediaType": typeIndex, "manifests": l.images, "annotations": l.annotations(),
	})
	if err != nil {
		return err
	}
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": l.version}
	top, err := json.Marshal(document{
		"schemaVersion": 2, "mediaType": typeIndex, "manifests": append([]descriptor{index}, l.bills...),
	})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"index.json": top, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`),
	} {
		if err := os.WriteFile(filepath.Join(l.dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// layer makes the only layer: the binary, and the authorities whose certificates it trusts.
func (l *layout) layer(binary string, authorities []byte) (tarball []byte, d descriptor, err error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, d, err
	}
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, file := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"etc/", 0o755, nil},
		{"etc/passwd", 0o644, []byte("millrace:x:65532:65532::/:/sbin/nologin\n")},
		{"etc/group", 0o644, []byte("millrace:x:65532:\n")},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities},
		{"millrace", 0o755, program},
	} {
		header := &tar.Header{
			Name: file.name, Mode: file.mode, Size: int64(len(file.content)), ModTime: l.created, Format: tar.FormatPAX,
			Typeflag: tar.TypeReg,
		}
		if file.content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, d, err
		}
		if _, err := w.Write(file.content); err != nil {
			return nil, d, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, d, err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return nil, d, err
	}
	if err := z.Close(); err != nil {
		return nil, d, err
	}
	d, err = l.blob(typeLayer, packed.Bytes())
	return plain.Bytes(), d, err
}

func (l *layout) json(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v) // sorts the keys of maps
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, content)
}

func (l *layout) blob(mediaType string, content []byte) (descriptor, error) {
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	err := os.WriteFile(filepath.Join(l.dir, "blobs", "sha256", name), content, 0o644)
	if err != nil {
		return descriptor{}, fmt.Errorf("write blob: %w", err)
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + name, Size: len(content)}, nil
}
