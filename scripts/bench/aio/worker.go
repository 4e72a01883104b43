//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"ext4img/aio"
)

// work runs one load in this process and prints its result.
func work(arg string) error {
	var l load
	if err := json.Unmarshal([]byte(arg), &l); err != nil {
		return err
	}
	write := l.RW == "write" || l.RW == "randwrite"
	dev, err := aio.Open(l.Path, aio.Options{Write: write, Engine: l.Engine})
	if err != nil {
		return err
	}
	defer dev.Close()
	if d := aio.Describe(dev); !d.Direct {
		return fmt.Errorf("not direct: %s", d.Reason)
	}
	q, err := dev.Queue(l.Depth)
	if err != nil {
		return err
	}
	defer q.Close()
	if l.Pin {
		aio.Pin(q)
	}
	reqs, arena, err := requests(l, write)
	if err != nil {
		return err
	}
	defer arena.Close()
	aio.Register(q, arena)
	r, err := measure(l, q, reqs)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func requests(l load, write bool) ([]*aio.Request, *aio.Arena, error) {
	arena, err := aio.NewArena(l.Depth*l.Block, 4096)
	if err != nil {
		return nil, nil, err
	}
	reqs := make([]*aio.Request, l.Depth)
	for i := range reqs {
		buf, err := arena.Alloc(l.Block)
		if err != nil {
			return nil, nil, err
		}
		for j := range buf {
			buf[j] = byte(i ^ j)
		}
		reqs[i] = &aio.Request{Buf: buf}
		if write {
			reqs[i].Op = aio.Write
		}
	}
	return reqs, arena, nil
}

// measure keeps the queue full for the duration of the load. From depth 128 on it reaps at least a quarter of the
// depth at a time, to make few system calls. At lower depths it reaps each request at once, because the disk would be
// idle otherwise.
func measure(l load, q aio.Queue, reqs []*aio.Request) (result, error) {
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	blocks, at := int64(fileSize/l.Block), int64(0)
	next := func() int64 {
		if l.RW == "randread" || l.RW == "randwrite" {
			return rnd.Int64N(blocks) * int64(l.Block)
		}
		off := at % blocks * int64(l.Block)
		at++
		return off
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu0, start := cpuTime(), time.Now()
	end := start.Add(time.Duration(l.Seconds * float64(time.Second)))
	done, batch, least := 0, reqs, 1
	if l.Depth >= 128 {
		least = l.Depth / 4
	}
	for {
		for _, r := range batch {
			r.Off = next()
		}
		if err := q.Submit(batch...); err != nil {
			return result{}, err
		}
		var err error
		if batch, err = q.Reap(least); err != nil {
			return result{}, err
		}
		for _, r := range batch {
			if r.Err != nil {
				return result{}, r.Err
			}
		}
		done += len(batch)
		if time.Now().After(end) {
			break
		}
	}
	seconds, cpu := time.Since(start).Seconds(), cpuTime()-cpu0
	runtime.ReadMemStats(&after)
	n := float64(done)
	return result{IOPS: n / seconds, CPU: float64(cpu.Nanoseconds()) / 1e3 / n, RSS: maxRSS(), Allocs: float64(after.Mallocs-before.Mallocs) / n}, nil
}
