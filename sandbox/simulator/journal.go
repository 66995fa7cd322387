package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/millrace-orders/millrace/sandbox/private"
)

var errClosed = errors.New("the simulator is closed")

// journal is a file of JSON lines that only grows. Lines are appended in memory and written in batches. The first
// caller that needs a line on disk writes and syncs all lines appended by then, and other callers wait for it. So a
// lone call costs one fsync, and a thousand concurrent calls cost a few. No goroutine runs while there are no calls.
type journal struct {
	mu      sync.Mutex
	turn    sync.Cond // signals that a batch is on disk, or that its write failed
	file    *os.File  // nil: memory only
	pending []byte    // lines that no write has taken yet
	last    uint64    // the number of the last line
	durable uint64    // the number of the last line on disk
	writing bool
	err     error // permanent: after a failed fsync the content of the disk is unknown
}

// openJournal passes every record in the file to apply. A journal with an empty path keeps nothing.
func openJournal(path string, apply func(*record)) (*journal, error) {
	j := &journal{}
	j.turn.L = &j.mu
	if path == "" {
		return j, nil
	}
	file, err := private.File(path, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	// Before the replay: it would cut off the line that another process is about to write.
	if err := private.Lock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := replay(file, apply); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j.file = file
	return j, nil
}

// replay cuts off a torn last line: the call that wrote it got no answer.
func replay(file *os.File, apply func(*record)) error {
	b, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	size := 0
	for line := range bytes.Lines(b) {
		r := &record{}
		err := json.Unmarshal(line, r)
		torn := size+len(line) == len(b) && (err != nil || !bytes.HasSuffix(line, []byte("\n")))
		if torn {
			return file.Truncate(int64(size))
		}
		if err != nil {
			return fmt.Errorf("%s is damaged at byte %d: %w", file.Name(), size, err)
		}
		apply(r)
		size += len(line)
	}
	return nil
}

// append adds a record and returns its number. It does no I/O; sync waits until the record is on disk. It fails after a
// failed write, because no further record can be stored.
func (j *journal) append(r *record) (uint64, error) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings, numbers and times of this century: cannot happen
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	j.last++
	if j.file != nil {
		j.pending = append(append(j.pending, line...), '\n')
	}
	return j.last, nil
}

// sync returns when record n is on disk, or when it is certain that it never will be.
func (j *journal) sync(n uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.durable < n && j.err == nil {
		if j.writing {
			j.turn.Wait()
		} else {
			j.write()
		}
	}
	if j.durable >= n {
		return nil
	}
	return j.err
}

// write stores all pending lines. The caller holds the lock; write releases it during the I/O, so that the next batch
// can gather.
func (j *journal) write() {
	batch, last := j.pending, j.last
	j.pending, j.writing = nil, true
	j.mu.Unlock()
	var err error
	if j.file != nil {
		if _, err = j.file.Write(batch); err == nil {
			err = j.file.Sync()
		}
	}
	j.mu.Lock()
	j.writing = false
	if err == nil {
		j.durable = last
	} else if j.err == nil {
		j.err = err
	}
	j.turn.Broadcast()
}

// flush waits for everything appended so far.
func (j *journal) flush() error {
	j.mu.Lock()
	last := j.last
	j.mu.Unlock()
	return j.sync(last)
}

func (j *journal) close() error {
	err := j.flush()
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.writing {
		j.turn.Wait()
	}
	if j.err == nil {
		j.err = errClosed
	}
	if j.file == nil {
		return err
	}
	file := j.file
	j.file = nil
	return errors.Join(err, private.Unlock(file), file.Close())
}
