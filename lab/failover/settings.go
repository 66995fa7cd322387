package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The files of deploy/patroni that each node has. Nodes differ in the settings of the first two.
const (
	patroniEnv = "patroni.env"
	etcdEnv    = "etcd.env"
)

// settings reads the example of node db1, and makes of it what its comments say for another node: another name and
// another address, but not in lists of all nodes.
func settings(dir string, number int) (map[string]string, error) {
	all := map[string]string{}
	for _, name := range []string{patroniEnv, etcdEnv} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				return nil, fmt.Errorf("%s: %q is not a setting", name, line)
			}
			if !strings.Contains(value, ",") {
				value = strings.ReplaceAll(value, "10.0.0.1:", fmt.Sprintf("10.0.0.%d:", number))
				if value == "db1" {
					value = fmt.Sprintf("db%d", number)
				}
			}
			all[key] = value
		}
	}
	return all, nil
}

// copyConfig copies the files that all nodes share to where each of them, and not only root, can read them.
func copyConfig(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"patroni.yml", "post_init.sh"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o755); err != nil {
			return err
		}
	}
	return nil
}
