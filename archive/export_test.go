package archive

import (
	"time"

	"github.com/millrace-orders/millrace/store"
)

// Write writes a file as an Archiver does.
func Write(dir, name string, list []store.ArchivedOrder) (store.ArchiveFile, error) {
	return write(dir, name, list)
}

// WriteFile writes a file, reads it back and compares it.
func (a *Archiver) WriteFile(list []store.ArchivedOrder) error {
	_, err := a.write(list, time.Time{}, 1)
	return err
}
