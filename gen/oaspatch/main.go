// Command oaspatch changes the client that ogen generated in two places, for which ogen has neither an option nor
// replaceable templates: see patch. It fails if it finds nothing to change, as after an update of ogen.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oaspatch:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: oaspatch DIRECTORY")
	}
	files, err := filepath.Glob(filepath.Join(args[0], "*.go"))
	if err != nil {
		return err
	}
	var total changes
	for _, name := range files {
		changed, err := patchFile(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		total.enums += changed.enums
		total.imports += changed.imports
	}
	if total.enums == 0 || total.imports == 0 {
		return fmt.Errorf("ogen's output is not as expected: %d enums, %d imports", total.enums, total.imports)
	}
	return nil
}

func patchFile(name string) (changes, error) {
	before, err := os.ReadFile(name)
	if err != nil {
		return changes{}, err
	}
	after, made, err := patch(before)
	if err != nil || made == (changes{}) {
		return made, err
	}
	return made, os.WriteFile(name, after, 0o644)
}
