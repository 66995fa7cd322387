//go:build !darwin && !linux

package private

import (
	"io/fs"
	"os"
	"path/filepath"
)

// On this system access lists define which users may write, and shared directories such as /tmp are unusual.

const noFollow = 0

func isLink(error) bool { return false }

func walk(path string, _ bool) (string, error) { return filepath.EvalSymlinks(path) }

func checkFile(string, fs.FileInfo) error { return nil }

// Lock does nothing on this system.
func Lock(*os.File) error { return nil }

// Unlock does nothing on this system.
func Unlock(*os.File) error { return nil }
