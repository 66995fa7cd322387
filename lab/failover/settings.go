package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kind is what a machine is for.
type kind struct {
	name string // with the number of the machine it is the machine's
	env  string // the file of deploy/patroni that the machine has, in which the first machine is the example
	net  string // with the number of the machine it is the machine's address
}

func nodes() kind { return kind{"db", "patroni.env", "10.0.0."} }
func etcds() kind { return kind{"etcd", "etcd.env", "10.0.0.1"} }

// settings reads the example of the first machine, and makes of it what its comments say for another one: another name
// and another address, but not in lists of all machines.
func (k kind) settings(dir string, number int) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, k.env))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is not a setting", k.env, line)
		}
		if !strings.Contains(value, ",") {
			value = strings.ReplaceAll(value, k.address(1)+":", k.address(number)+":")
			if value == k.machine(1) {
				value = k.machine(number)
			}
		}
		all[key] = value
	}
	return all, nil
}

func (k kind) machine(number int) string { return k.name + strconv.Itoa(number) }
func (k kind) address(number int) string { return k.net + strconv.Itoa(number) }

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
