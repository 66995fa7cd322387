package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"strings"
)

// billOfMaterials lists in CycloneDX what Go says it linked into a binary.
func billOfMaterials(binary, version string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read what was linked: %w", err)
	}
	standard := strings.TrimPrefix(info.GoVersion, "go")
	components := []document{library("std", "v"+standard, "")}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, library(m.Path, m.Version, m.Sum))
	}
	return json.MarshalIndent(document{
		"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6",
		"version": 1,
		"metadata": document{
			"component": document{
				"type": "application", "bom-ref": "millrace", "name": "millrace", "version": version,
				"purl": "pkg:golang/" + info.Main.Path + "@" + version,
			},
		},
		"components": components,
	}, "", "  ")
}

func library(path, version, sum string) document {
	purl := "pkg:golang/" + path + "@" + version
	c := document{"type": "library", "bom-ref": purl, "name": path, "version": version, "purl": purl}
	if sum != "" { // a hash of the module's files, which is none of CycloneDX's own kinds
		c["properties"] = []document{{"name": "go:sum", "value": sum}}
	}
	return c
}
