package storetest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// memory is a file system in memory. On ext4, making and removing databases takes a fifth of the time of store's tests.
const memory = "/dev/shm"

// root returns where test servers keep their data: in memory if it has room, which a container's has not by default.
var root = sync.OnceValue(func() string {
	var free syscall.Statfs_t
	if syscall.Statfs(memory, &free) != nil || free.Bavail*uint64(free.Bsize) < 4<<30 {
		return "/tmp"
	}
	removeLeft()
	return memory
})

// removeLeft frees the memory that killed test processes left in use.
func removeLeft() {
	left, _ := filepath.Glob(filepath.Join(memory, dirs+"*"))
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirs), "-")
		if id, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(id, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}
