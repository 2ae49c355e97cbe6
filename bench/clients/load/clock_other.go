//go:build !linux

package main

import (
	"errors"
	"os"
	"time"
)

func sleepExactly(d time.Duration) { time.Sleep(d) }

func flushToDisk(file *os.File) error { return file.Sync() }

func forgetPages(*os.File) error { return errors.New("only Linux is asked to forget pages") }
