package archive

import "github.com/millrace-orders/millrace/store"

// Write writes a file as an Archiver does.
func Write(dir, name string, list []store.ArchivedOrder) (store.ArchiveFile, error) {
	return write(dir, name, list)
}
