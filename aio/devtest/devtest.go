// Package devtest is the contract of package aio as a test: Run passes for every device and every engine.
//
// It owns nothing. It overwrites the device it is given, which must be at least MinSize bytes long and in use by
// nobody else.
package devtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"sync"
	"testing"

	"ext4img/aio"
)

// MinSize is the least size of a device under test.
const MinSize = 4 << 20

// Run tests a device. open returns it, always with the same content, whatever that is. Run calls open once for each
// part of the contract, after it has closed the device of the part before.
func Run(t *testing.T, open func(t *testing.T) aio.Device) {
	for _, part := range []struct {
		name string
		test func(*testing.T, aio.Device)
	}{
		{"shape", shape},
		{"read and write", readWrite},
		{"ends", ends},
		{"queue", queue},
		{"unaligned requests", unalignedRequests},
		{"neighbours", neighbours},
		{"overlapping", overlapping},
		{"errors in a batch", errorsInBatch},
		{"full queue", fullQueue},
		{"reuse", reuse},
		{"flush", flush},
		{"submit and reap apart", apart},
		{"many queues", manyQueues},
		{"close", closing},
		{"far offsets", farOffsets},
		{"arena", arena},
		{"pinned", pinned},
	} {
		t.Run(part.name, func(t *testing.T) {
			dev := open(t)
			part.test(t, dev)
			if err := dev.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// seeded returns a source of random numbers and prints its seed.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewSource(seed))
}

func shape(t *testing.T, dev aio.Device) {
	if dev.Size() < MinSize {
		t.Fatalf("size %d, the test needs %d", dev.Size(), MinSize)
	}
	if a := dev.Align(); a <= 0 || a&(a-1) != 0 {
		t.Errorf("alignment %d is not a power of two", a)
	}
	if _, err := dev.Queue(0); err == nil {
		t.Error("a queue of depth 0 was made")
	}
}

// readWrite compares random transfers of any alignment with a slice.
func readWrite(t *testing.T, dev aio.Device) {
	r := seeded(t)
	want := make([]byte, 1<<20)
	writeAt(t, dev, want, 0)
	for range 100 {
		off := r.Intn(len(want))
		n := 1 + r.Intn(min(len(want)-off, 1<<r.Intn(20)))
		if r.Intn(2) == 0 {
			off, n = off&^4095, (n+4095)&^4095
			n = min(n, len(want)-off)
		}
		if r.Intn(2) == 0 {
			r.Read(want[off : off+n])
			writeAt(t, dev, append([]byte(nil), want[off:off+n]...), int64(off))
		} else {
			expect(t, dev, want[off:off+n], int64(off))
		}
	}
	expect(t, dev, want, 0)
}

// ends: a transfer beyond the end is an error, and a read returns the bytes before the end.
func ends(t *testing.T, dev aio.Device) {
	size, p := dev.Size(), make([]byte, 1000)
	for i := range p {
		p[i] = byte(i)
	}
	writeAt(t, dev, p, size-1000)
	expect(t, dev, p, size-1000)
	if n, err := dev.ReadAt(make([]byte, 1000), size-300); n != 300 || err != io.EOF {
		t.Errorf("read over the end: %d, %v; want 300, EOF", n, err)
	}
	if n, err := dev.ReadAt(make([]byte, 1), size); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v; want 0, EOF", n, err)
	}
	for _, off := range []int64{size - 300, size, size + 4096, -1, -4096, -1 << 63, 1<<63 - 1} {
		if _, err := dev.WriteAt(p, off); err == nil {
			t.Errorf("write at %d of %d: no error", off, size)
		}
		if n, err := dev.ReadAt(make([]byte, 1000), off); off != size-300 && (err == nil || n != 0) {
			t.Errorf("read at %d of %d: %d, %v", off, size, n, err)
		}
	}
	expect(t, dev, p, size-1000)
	if dev.Size() != size {
		t.Errorf("size was %d, is %d", size, dev.Size())
	}
}

// queue keeps random reads and writes of distinct blocks in flight and compares with a slice.
func queue(t *testing.T, dev aio.Device) {
	const depth = 32
	q := newQueue(t, dev, depth)
	defer closeQueue(t, q)
	exercise(t, dev, q, depth, 300, func(n int) []byte { return buffer(dev, n) })
}

// exercise runs rounds of batches on distinct blocks through q, with buffers from alloc.
func exercise(t *testing.T, dev aio.Device, q aio.Queue, depth, total int, alloc func(int) []byte) {
	t.Helper()
	r, u := seeded(t), unit(dev)
	blocks := MinSize / u / 2
	want := make([][]byte, blocks)
	zero := make([]byte, blocks*u)
	writeAt(t, dev, zero, 0)
	for i := range want {
		want[i] = zero[:u]
	}
	bufs := make([][]byte, depth)
	for i := range bufs {
		bufs[i] = alloc(u)
	}
	for done := 0; done < total; {
		n := 1 + r.Intn(depth)
		reqs := make([]*aio.Request, n)
		for i, b := range r.Perm(blocks)[:n] {
			reqs[i] = &aio.Request{Op: aio.Read, Buf: bufs[i], Off: int64(b) * int64(u), User: b}
			if r.Intn(2) == 0 {
				reqs[i].Op = aio.Write
				r.Read(bufs[i])
				want[b] = bytes.Clone(bufs[i])
			}
		}
		submit(t, q, reqs...)
		for _, req := range reapGood(t, q, n) {
			if b := req.User.(int); !bytes.Equal(req.Buf, want[b]) || req.Off != int64(b)*int64(u) {
				t.Fatalf("block %d, offset %d: buffer differs after op %d", b, req.Off, req.Op)
			}
		}
		done += n
	}
	for b := range want {
		expect(t, dev, want[b], int64(b)*int64(u))
	}
}

// unalignedRequests: a queue takes any offset, length and address.
func unalignedRequests(t *testing.T, dev aio.Device) {
	r := seeded(t)
	q := newQueue(t, dev, 8)
	defer closeQueue(t, q)
	want := make([]byte, 256<<10)
	writeAt(t, dev, want, 0)
	for range 60 {
		off := r.Intn(len(want))
		n := 1 + r.Intn(min(len(want)-off, 1<<r.Intn(17)))
		req := &aio.Request{Op: aio.Read, Buf: buffer(dev, n+1)[r.Intn(2):], Off: int64(off)}
		req.Buf = req.Buf[:n]
		if r.Intn(2) == 0 {
			req.Op = aio.Write
			r.Read(req.Buf)
			copy(want[off:], req.Buf)
		}
		submit(t, q, req)
		reapGood(t, q, 1)
		if !bytes.Equal(req.Buf, want[off:off+n]) {
			t.Fatalf("op %d of %d bytes at %d: buffer differs", req.Op, n, off)
		}
	}
	expect(t, dev, want, 0)
	empty := &aio.Request{Op: aio.Write, Off: 512}
	submit(t, q, empty)
	reapGood(t, q, 1)
}

// neighbours: unaligned writes in flight that share sectors, but no byte, do not undo each other.
func neighbours(t *testing.T, dev aio.Device) {
	const n, length = 64, 100
	q := newQueue(t, dev, n)
	defer closeQueue(t, q)
	writeAt(t, dev, make([]byte, 2*n*length), 0)
	want := make([]byte, n*length)
	reqs := make([]*aio.Request, n)
	for i := range reqs {
		reqs[i] = &aio.Request{Op: aio.Write, Buf: bytes.Repeat([]byte{byte(i + 1)}, length), Off: int64(i * length)}
		copy(want[i*length:], reqs[i].Buf)
	}
	submit(t, q, reqs...)
	reapGood(t, q, n)
	expect(t, dev, want, 0)
}

// overlapping: writes in flight that overlap leave a mixture of them, sector by sector, and nothing else. Bytes
// beside them stay.
func overlapping(t *testing.T, dev aio.Device) {
	const depth = 16
	u := unit(dev)
	q := newQueue(t, dev, depth)
	defer closeQueue(t, q)
	writeAt(t, dev, bytes.Repeat([]byte{0xEE}, 4*u), 0)
	reqs := make([]*aio.Request, depth)
	for i := range reqs {
		buf := buffer(dev, 2*u)
		copy(buf, bytes.Repeat([]byte{byte(i + 1)}, 2*u))
		reqs[i] = &aio.Request{Op: aio.Write, Buf: buf, Off: int64(u)}
	}
	submit(t, q, reqs...)
	reapGood(t, q, depth)
	got := make([]byte, 4*u)
	if _, err := dev.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	for i, b := range got {
		in := i >= u && i < 3*u
		if in && (b < 1 || b > depth || b != got[i&^511]) || !in && b != 0xEE {
			t.Fatalf("byte %d is %#x", i, b)
		}
	}
}

// errorsInBatch: only the request that met an error carries it.
func errorsInBatch(t *testing.T, dev aio.Device) {
	const n = 12
	u := unit(dev)
	q := newQueue(t, dev, n)
	defer closeQueue(t, q)
	for round := range 3 { // the queue still works after errors
		reqs := make([]*aio.Request, n)
		for i := range reqs {
			buf := buffer(dev, u)
			copy(buf, bytes.Repeat([]byte{byte(16*round + i)}, u))
			reqs[i] = &aio.Request{Op: aio.Write, Buf: buf, Off: int64(i * u), User: i}
			switch i {
			case 3:
				reqs[i].Off = dev.Size()
			case 5:
				reqs[i].Op, reqs[i].Off = aio.Read, dev.Size()+int64(u)
			case 7:
				reqs[i].Off = -int64(u)
			case 9:
				reqs[i].Off = dev.Size() - 1
			}
		}
		offs := make([]int64, n)
		for i, r := range reqs {
			offs[i] = r.Off
		}
		submit(t, q, reqs...)
		for _, r := range reap(t, q, n) {
			i := r.User.(int)
			bad := i == 3 || i == 5 || i == 7 || i == 9
			if bad != (r.Err != nil) || bad && !errors.Is(r.Err, aio.ErrRange) {
				t.Errorf("request %d: error %v", i, r.Err)
			}
			if r.Off != offs[i] || len(r.Buf) != u {
				t.Errorf("request %d came back with offset %d, want %d, and %d bytes", i, r.Off, offs[i], len(r.Buf))
			}
			if !bad {
				expect(t, dev, r.Buf, r.Off)
			}
		}
	}
}

// fullQueue: a batch that is larger than the depth is refused as a whole.
func fullQueue(t *testing.T, dev aio.Device) {
	u := unit(dev)
	q := newQueue(t, dev, 4)
	defer closeQueue(t, q)
	var reqs []*aio.Request
	for i := range 5 {
		reqs = append(reqs, &aio.Request{Op: aio.Read, Buf: buffer(dev, u), Off: int64(i * u)})
	}
	if err := q.Submit(reqs...); !errors.Is(err, aio.ErrFull) {
		t.Fatalf("5 requests to a queue of 4: %v", err)
	}
	if got, err := q.Reap(1); err != nil || len(got) != 0 {
		t.Fatalf("reap with nothing in flight: %d, %v", len(got), err)
	}
	submit(t, q, reqs[:4]...)
	if err := q.Submit(reqs[4]); !errors.Is(err, aio.ErrFull) {
		t.Fatalf("a fifth request to a queue of 4: %v", err)
	}
	reapGood(t, q, 4)
	submit(t, q, reqs[4])
	if got, err := q.Reap(3); err != nil || len(got) != 1 {
		t.Fatalf("reap 3 with 1 in flight: %d, %v", len(got), err)
	}
}

// reuse: a request that came back, even with an error, can be submitted again.
func reuse(t *testing.T, dev aio.Device) {
	u := unit(dev)
	q := newQueue(t, dev, 1)
	defer closeQueue(t, q)
	r := &aio.Request{Op: aio.Write, Buf: buffer(dev, u), Off: dev.Size()}
	for i := range 100 {
		r.Off = int64(i%7) * int64(u)
		if i%3 == 0 {
			r.Off = dev.Size() + 1
		}
		submit(t, q, r)
		if got := reap(t, q, 1)[0]; got != r || (r.Err != nil) != (i%3 == 0) {
			t.Fatalf("round %d: %v", i, r.Err)
		}
	}
}

// flush: a flush works alone, in a batch, and on the device while the queue is in use.
func flush(t *testing.T, dev aio.Device) {
	u := unit(dev)
	q := newQueue(t, dev, 8)
	defer closeQueue(t, q)
	submit(t, q, &aio.Request{Op: aio.Flush})
	reapGood(t, q, 1)
	var reqs []*aio.Request
	for i := range 4 {
		reqs = append(reqs, &aio.Request{Op: aio.Write, Buf: buffer(dev, u), Off: int64(i * u)}, &aio.Request{Op: aio.Flush})
	}
	submit(t, q, reqs...)
	if err := dev.Flush(); err != nil {
		t.Errorf("flush: %v", err)
	}
	reapGood(t, q, 8)
	if err := dev.Flush(); err != nil {
		t.Errorf("flush: %v", err)
	}
}

// apart: one goroutine submits batches and another reaps.
func apart(t *testing.T, dev aio.Device) {
	const depth, total = 16, 1500
	u, r := unit(dev), seeded(t)
	q := newQueue(t, dev, depth)
	defer closeQueue(t, q)
	spare := make(chan *aio.Request, depth)
	for i := range depth {
		spare <- &aio.Request{Op: aio.Op(i % 2), Buf: buffer(dev, u), Off: int64(i * u)}
	}
	inFlight := make(chan int, total)
	go func() {
		defer close(inFlight)
		for n := 0; n < total; {
			batch := []*aio.Request{<-spare}
			for len(batch) < depth && len(spare) > 0 {
				batch = append(batch, <-spare)
			}
			if len(batch)%3 == 0 { // one unaligned
				batch[0].Buf = batch[0].Buf[:u-1]
			}
			if err := q.Submit(batch...); err != nil {
				t.Errorf("submit: %v", err)
			}
			n += len(batch)
			inFlight <- len(batch)
		}
	}()
	submitted, reaped := 0, 0
	for n := range inFlight {
		for submitted += n; reaped < submitted; {
			got, err := q.Reap(1 + r.Intn(3))
			if err != nil {
				t.Fatal(err)
			}
			for _, req := range got {
				if req.Err != nil {
					t.Errorf("request: %v", req.Err)
				}
				req.Buf = req.Buf[:u]
				reaped++
				spare <- req
			}
		}
	}
	if got, err := q.Reap(0); reaped != submitted || len(got) != 0 || err != nil {
		t.Errorf("reaped %d of %d; then %d, %v", reaped, submitted, len(got), err)
	}
}

// manyQueues: several queues and plain transfers use one device at once.
func manyQueues(t *testing.T, dev aio.Device) {
	u := unit(dev)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := worker(dev, int64(i*64*u), u, byte(i+1)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
}

func worker(dev aio.Device, base int64, u int, mark byte) error {
	q, err := dev.Queue(8)
	if err != nil {
		return err
	}
	for round := range 20 {
		var reqs []*aio.Request
		for i := range 8 {
			p := buffer(dev, u)
			copy(p, bytes.Repeat([]byte{mark + byte(round)}, u))
			reqs = append(reqs, &aio.Request{Op: aio.Write, Buf: p, Off: base + int64(i*u)})
		}
		if err := q.Submit(reqs...); err != nil {
			return err
		}
		for n := 0; n < len(reqs); {
			got, err := q.Reap(len(reqs) - n)
			if err != nil {
				return err
			}
			n += len(got)
		}
		got := make([]byte, 8*u)
		if _, err := dev.ReadAt(got, base); err != nil {
			return err
		}
		if !bytes.Equal(got, bytes.Repeat([]byte{mark + byte(round)}, 8*u)) {
			return fmt.Errorf("queue %d, round %d: wrong bytes", mark, round)
		}
	}
	return q.Close()
}

// closing: Close waits for requests in flight; afterwards every call is refused.
func closing(t *testing.T, dev aio.Device) {
	u := unit(dev)
	q := newQueue(t, dev, 16)
	var reqs []*aio.Request
	for i := range 16 {
		p := buffer(dev, u)
		copy(p, bytes.Repeat([]byte{0x5C}, u))
		reqs = append(reqs, &aio.Request{Op: aio.Write, Buf: p, Off: int64(i * u)})
	}
	submit(t, q, reqs...)
	closeQueue(t, q)
	expect(t, dev, bytes.Repeat([]byte{0x5C}, 16*u), 0)
	if err := q.Submit(reqs[0]); !errors.Is(err, aio.ErrClosed) {
		t.Errorf("submit to a closed queue: %v", err)
	}
	if _, err := q.Reap(0); !errors.Is(err, aio.ErrClosed) {
		t.Errorf("reap from a closed queue: %v", err)
	}
	if err := q.Close(); !errors.Is(err, aio.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

// farOffsets writes around 2^31 and 2^32 bytes and at the end, if the device is that long.
func farOffsets(t *testing.T, dev aio.Device) {
	u := int64(unit(dev))
	q := newQueue(t, dev, 8)
	defer closeQueue(t, q)
	offs := []int64{0, 1<<31 - u, 1 << 31, 1<<32 - u, 1 << 32, 1<<32 + u, (dev.Size() - u) &^ (u - 1)}
	var reqs []*aio.Request
	for i, off := range offs {
		if off+u > dev.Size() {
			continue
		}
		p := buffer(dev, int(u))
		copy(p, bytes.Repeat([]byte{byte(0x90 + i)}, int(u)))
		reqs = append(reqs, &aio.Request{Op: aio.Write, Buf: p, Off: off})
	}
	submit(t, q, reqs...)
	reapGood(t, q, len(reqs))
	for _, r := range reqs {
		expect(t, dev, r.Buf, r.Off)
		r.Op = aio.Read
		clear(r.Buf)
	}
	submit(t, q, reqs...)
	for _, r := range reapGood(t, q, len(reqs)) {
		expect(t, dev, r.Buf, r.Off)
	}
}

// arena: buffers of a registered arena work, mixed with others.
func arena(t *testing.T, dev aio.Device) {
	const depth = 16
	a, err := aio.NewArena(depth/2*unit(dev), min(4096, unit(dev)))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	q := newQueue(t, dev, depth)
	defer closeQueue(t, q)
	t.Logf("registered: %v", aio.Register(q, a))
	exercise(t, dev, q, depth, 100, func(n int) []byte {
		if p, err := a.Alloc(n); err == nil {
			return p
		}
		return buffer(dev, n)
	})
}

// pinned: the same works if one goroutine on one thread makes all calls.
func pinned(t *testing.T, dev aio.Device) {
	q := newQueue(t, dev, 16)
	defer closeQueue(t, q)
	t.Logf("pinned: %v", aio.Pin(q))
	exercise(t, dev, q, 16, 200, func(n int) []byte { return buffer(dev, n) })
	submit(t, q, &aio.Request{Op: aio.Flush})
	reapGood(t, q, 1)
}
