// Command permissions prints a page with its table of operations and roles written anew: docs/security.md.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/millrace-orders/millrace/api"
)

const (
	begin = "<!-- permissions: written by make generate -->\n"
	end   = "<!-- end of permissions -->\n"
)

func main() {
	page, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, complete := strings.Cut(rest, end)
	if !found || !complete {
		panic(os.Args[1] + " has no place for the table")
	}
	fmt.Print(before + begin + api.Permissions() + end + after)
}
