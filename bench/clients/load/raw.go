package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// The raw limit: bytes go over TCP into a file, and how many have arrived comes back. No format, no checks, no index.
type rawTarget struct{ address string }

var errUnsupported = errors.New("a bare sink only takes records")

func (t *rawTarget) create(context.Context, string, int) error { return nil }
func (t *rawTarget) consumer(*options) (consumer, error)       { return nil, errUnsupported }

func (t *rawTarget) first(ctx context.Context, o *options) error {
	return untilAccepted(ctx, func() error {
		p, err := t.producer(o)
		if err != nil {
			return err
		}
		defer p.close()
		done := make(chan error, 1)
		p.send(0, make([]byte, o.size), func(err error) { done <- err })
		return <-done
	})
}

func (t *rawTarget) producer(o *options) (producer, error) {
	connection, err := net.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	p := &rawProducer{connection: connection, window: o.window, written: make(chan []rawPending, 1024)}
	p.room.L, p.work.L = &p.lock, &p.lock
	go p.write()
	go p.acknowledge()
	return p, nil
}

type rawPending struct {
	size int
	done func(error)
}

// What is sent while a write is under way goes with the next one.
type rawProducer struct {
	connection  net.Conn
	window      int
	lock        sync.Mutex
	room        sync.Cond
	work        sync.Cond
	outstanding int
	closed      bool
	bytes       []byte
	queued      []rawPending
	written     chan []rawPending
}

func (p *rawProducer) send(_ int32, value []byte, done func(error)) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.outstanding >= p.window {
		p.room.Wait()
	}
	p.outstanding++
	p.bytes = append(p.bytes, value...)
	p.queued = append(p.queued, rawPending{len(value), done})
	p.work.Signal()
}

func (p *rawProducer) write() {
	defer close(p.written)
	var bytes []byte
	for {
		p.lock.Lock()
		for len(p.queued) == 0 && !p.closed {
			p.work.Wait()
		}
		queued := p.queued
		bytes, p.bytes, p.queued = p.bytes, bytes[:0], nil
		p.lock.Unlock()
		if len(queued) == 0 {
			return
		}
		// A write that fails shows where the acknowledgement is read.
		p.connection.Write(bytes)
		p.written <- queued
	}
}

func (p *rawProducer) acknowledge() {
	var total, acknowledged uint64
	in := bufio.NewReader(p.connection)
	for queued := range p.written {
		for _, pending := range queued {
			acknowledged += uint64(pending.size)
			var err error
			for err == nil && total < acknowledged {
				err = binary.Read(in, binary.BigEndian, &total)
			}
			pending.done(err)
		}
		p.lock.Lock()
		p.outstanding -= len(queued)
		p.lock.Unlock()
		p.room.Broadcast()
	}
}

func (p *rawProducer) close() {
	p.lock.Lock()
	p.closed = true
	p.lock.Unlock()
	p.work.Signal()
	p.connection.Close()
}

// sink listens, and writes what each connection sends to a file of its own. It says where it listens and runs until it is killed.
func sink(o *options) (any, error) {
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return nil, err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	for number := 0; ; number++ {
		connection, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		file, err := os.Create(filepath.Join(o.directory, fmt.Sprint(number)))
		if err != nil {
			return nil, err
		}
		go receive(connection, file, o.sync)
	}
}

func receive(connection net.Conn, file *os.File, sync bool) {
	defer connection.Close()
	defer file.Close()
	chunk := make([]byte, 256<<10)
	var total uint64
	for {
		count, err := connection.Read(chunk)
		if err != nil {
			return
		}
		if _, err := file.Write(chunk[:count]); err != nil {
			fail(err)
		}
		if sync {
			if err := flushToDisk(file); err != nil {
				fail(err)
			}
		}
		total += uint64(count)
		if binary.Write(connection, binary.BigEndian, total) != nil {
			return
		}
	}
}

// evict flushes the files under a directory and asks the kernel to forget their pages.
func evict(o *options) (any, error) {
	files := 0
	err := filepath.WalkDir(o.directory, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		file, err := os.Open(path)
		if err != nil {
			return ignoreMissing(err)
		}
		defer file.Close()
		files++
		return forgetPages(file)
	})
	return map[string]int{"files": files}, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
