// Command release keeps api/openapi.released.yaml, the document that clients in the field were made from, together with
// CHANGELOG.md, which names the releases. Only a release changes either.
//
//	release check            fails if the document is not the one that the newest release has left
//	release make 0.1.0       dates what is unreleased in the CHANGELOG, and copies api/openapi.yaml under that version
package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], ".", time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, root string, now time.Time) error {
	switch {
	case len(args) == 1 && args[0] == "check":
		return check(root)
	case len(args) == 2 && args[0] == "make":
		return release(root, args[1], now)
	default:
		return errors.New("usage: release check | release make VERSION")
	}
}
