package main

import (
	"bytes"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// rulesFile is a file of rules, as Prometheus reads it.
type rulesFile struct {
	Groups []group `yaml:"groups"`
}

type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

// rule is an alert, or a recording rule.
type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func readRules(path string) (f rulesFile, err error) {
	err = readYAML(path, &f)
	return f, err
}

// readYAML reads a file that has no other fields than into.
func readYAML(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

func (f rulesFile) write(path string) error {
	content, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode rules: %w", err)
	}
	return os.WriteFile(path, content, 0o644)
}

// alerts returns the alerts in the file's order.
func (f rulesFile) alerts() (list []rule) {
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				list = append(list, r)
			}
		}
	}
	return list
}

// without returns the rules without the named alerts.
func (f rulesFile) without(names ...string) rulesFile {
	gone := map[string]bool{}
	for _, name := range names {
		gone[name] = true
	}
	var left rulesFile
	for _, g := range f.Groups {
		kept := group{Name: g.Name}
		for _, r := range g.Rules {
			if r.Alert == "" || !gone[r.Alert] {
				kept.Rules = append(kept.Rules, r)
			}
		}
		left.Groups = append(left.Groups, kept)
	}
	return left
}
