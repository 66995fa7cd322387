package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	suffix = ".ndjson"
	// sumSuffix is that of the file with the checksum, which sha256sum -c reads.
	sumSuffix = ".sha256"
	partial   = ".part" // until a file is whole
)

// ErrDamaged means that a file is missing, or is not what was written.
var ErrDamaged = errors.New("archive file is damaged")

// write writes orders to a file, and its checksum beside it. Both are on the disk when it returns.
func write(dir, name string, list []store.ArchivedOrder) (store.ArchiveFile, error) {
	var content bytes.Buffer
	for _, o := range list {
		line, err := encode(o)
		if err != nil {
			return store.ArchiveFile{}, err
		}
		content.Write(line)
	}
	sum := sha256.Sum256(content.Bytes())
	if err := place(dir, name, content.Bytes()); err != nil {
		return store.ArchiveFile{}, err
	}
	failpoint.Hit("archive.written")
	text := fmt.Sprintf("%s  %s\n", hex.EncodeToString(sum[:]), name)
	if err := place(dir, name+sumSuffix, []byte(text)); err != nil {
		return store.ArchiveFile{}, err
	}
	return store.ArchiveFile{
		Name: name, Orders: int64(len(list)), Bytes: int64(content.Len()), SHA256: sum[:],
	}, nil
}

// place writes a file under a temporary name, has the disk keep it, and gives it its name.
func place(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the operator's
	if err != nil {
		return fmt.Errorf("write archive file: %w", err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+partial, path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write archive file: %w", errors.Join(err, os.Remove(path+partial)))
	}
	return nil
}

// syncDir has the disk keep the names in a directory.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check reads a file again and compares its size, its checksum and the number of its orders. visit, if not nil, gets
// each order. Errors of the file's contents are ErrDamaged.
func check(dir string, f store.ArchiveFile, visit func(store.ArchivedOrder) error) error {
	file, err := os.Open(filepath.Join(dir, filepath.Base(f.Name))) //nolint:gosec // the operator's directory
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, f.Name)
	}
	if err != nil {
		return fmt.Errorf("read archive file: %w", err)
	}
	defer func() { _ = file.Close() }()
	sum, size, count := sha256.New(), int64(0), int64(0)
	for reader := bufio.NewReaderSize(io.TeeReader(file, sum), 1<<16); ; {
		line, err := reader.ReadBytes('\n')
		size += int64(len(line))
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read archive file: %w", err)
		}
		o, err := decode(line)
		if err == nil && visit != nil {
			err = visit(o)
		}
		if err != nil {
			return fmt.Errorf("%w: %s, line %d: %w", ErrDamaged, f.Name, count+1, err)
		}
		count++
	}
	switch {
	case size != f.Bytes:
		return fmt.Errorf("%w: %s has %d bytes, %d were written", ErrDamaged, f.Name, size, f.Bytes)
	case count != f.Orders:
		return fmt.Errorf("%w: %s has %d orders, %d were written", ErrDamaged, f.Name, count, f.Orders)
	case !bytes.Equal(sum.Sum(nil), f.SHA256):
		return fmt.Errorf("%w: %s has a different checksum", ErrDamaged, f.Name)
	}
	return nil
}

// same reports how an order that was read back differs from the one that was written.
func same(want, got store.ArchivedOrder, pruned time.Time) error {
	a, err := encode(want)
	if err != nil {
		return err
	}
	b, err := encode(got)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("order %s differs from the database", want.ID)
	}
	return sound(got, pruned)
}

// sound reports which rule an order breaks. If its log is whole, the order is the fold of its events.
func sound(o store.ArchivedOrder, pruned time.Time) error {
	if breaches := orders.Verify(o.Order, o.Events, pruned); len(breaches) > 0 {
		return fmt.Errorf("order %s breaks the rule %s: %s", o.ID, breaches[0].Rule, breaches[0].Detail)
	}
	return nil
}
