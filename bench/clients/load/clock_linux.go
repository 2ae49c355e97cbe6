package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Sleeps on the thread: Go's own timers wake in whole milliseconds when a process is otherwise idle. The caller holds its thread.
func sleepExactly(d time.Duration) {
	remaining := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&remaining, &remaining) == unix.EINTR {
	}
}

func flushToDisk(file *os.File) error { return unix.Fdatasync(int(file.Fd())) }

func forgetPages(file *os.File) error {
	if err := unix.Fdatasync(int(file.Fd())); err != nil {
		return err
	}
	return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}
