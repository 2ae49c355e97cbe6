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
	p := &rawProducer{connection: connection, pending: make(chan rawPending, o.window), written: make(chan rawPending, o.window)}
	p.window = make(chan struct{}, o.window)
	go p.write()
	go p.acknowledge()
	return p, nil
}

type rawPending struct {
	value []byte
	done  func(error)
}

type rawProducer struct {
	connection net.Conn
	window     chan struct{}
	pending    chan rawPending
	written    chan rawPending
	once       sync.Once
}

func (p *rawProducer) send(_ int32, value []byte, done func(error)) {
	p.window <- struct{}{}
	p.pending <- rawPending{value, done}
}

func (p *rawProducer) write() {
	out := bufio.NewWriterSize(p.connection, 256<<10)
	for pending := range p.pending {
		out.Write(pending.value)
		p.written <- pending
		if len(p.pending) == 0 && out.Flush() != nil {
			return
		}
	}
}

func (p *rawProducer) acknowledge() {
	var total, acknowledged uint64
	in := bufio.NewReader(p.connection)
	for pending := range p.written {
		acknowledged += uint64(len(pending.value))
		var err error
		for err == nil && total < acknowledged {
			err = binary.Read(in, binary.BigEndian, &total)
		}
		<-p.window
		pending.done(err)
	}
}

func (p *rawProducer) close() {
	p.once.Do(func() { close(p.pending) })
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
