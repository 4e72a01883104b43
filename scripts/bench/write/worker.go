//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"time"

	"ext4img/aio"
	"ext4img/ext4"
)

const depth = 32

// work preallocates a file in the image and writes every block of it once, at random.
func work(image, engine, profile string) error {
	dev, err := aio.Open(image, aio.Options{Write: true, Engine: engine})
	if err != nil {
		return err
	}
	defer dev.Close()
	fs, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		return err
	}
	f, err := fs.Create("/db", ext4.Attr{Perm: 0o644})
	if err != nil {
		return err
	}
	if err := f.Fallocate(0, 0, fileSize); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if profile != "" {
		out, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := writeAll(fs, f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	pprof.StopCPUProfile()
	if profile != "" {
		fmt.Fprintf(os.Stderr, "%+v\n", fs.Stats())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := fs.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(fileSize / block / seconds)
}

// writeAll keeps the queue full until every block is written.
func writeAll(fs *ext4.FS, f *ext4.File) error {
	q, err := fs.NewQueue(depth)
	if err != nil {
		return err
	}
	arena, err := aio.NewArena(depth*block, block)
	if err != nil {
		return err
	}
	q.Register(arena)
	free := make([]*ext4.Request, depth)
	for i := range free {
		buf, err := arena.Alloc(block)
		if err != nil {
			return err
		}
		for j := range buf {
			buf[j] = byte(rand.Uint32())
		}
		free[i] = &ext4.Request{File: f, Op: aio.Write, Buf: buf}
	}
	order := rand.Perm(fileSize / block)
	for len(order) > 0 || len(free) < depth {
		k := min(len(free), len(order))
		for i, r := range free[:k] {
			r.Off = int64(order[i]) * block
		}
		if err := q.Submit(free[:k]...); err != nil {
			return err
		}
		order, free = order[k:], free[:copy(free, free[k:])]
		done, err := q.Reap(1)
		if err != nil {
			return err
		}
		for _, r := range done {
			if r.Err != nil {
				return r.Err
			}
		}
		free = append(free, done...)
	}
	if err := q.Close(); err != nil {
		return err
	}
	return arena.Close()
}
