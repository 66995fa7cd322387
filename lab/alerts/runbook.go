package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// section is a heading of the runbook, and the text below it.
type section struct {
	heading string
	text    string
}

// readRunbook returns the sections of the runbook by heading.
func readRunbook(path string) (map[string]section, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read runbook: %w", err)
	}
	sections := map[string]section{}
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(content), -1)[1:] {
		heading, text, _ := strings.Cut(part, "\n")
		sections[heading] = section{heading, text}
	}
	return sections, nil
}

// commands returns the lines of the section's first block of shell.
func (s section) commands() []string {
	_, rest, found := strings.Cut(s.text, "```sh\n")
	if !found {
		return nil
	}
	block, _, _ := strings.Cut(rest, "\n```")
	return strings.Split(block, "\n")
}
