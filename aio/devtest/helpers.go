package devtest

import (
	"bytes"
	"testing"

	"ext4img/aio"
	"ext4img/aio/block"
)

// unit is the length of the blocks that the tests transfer: aligned for every device.
func unit(dev aio.Device) int { return max(4096, dev.Align()) }

func buffer(dev aio.Device, n int) []byte { return block.Aligned(n, unit(dev)) }

func newQueue(t *testing.T, dev aio.Device, depth int) aio.Queue {
	t.Helper()
	q, err := dev.Queue(depth)
	if err != nil {
		t.Fatalf("queue of depth %d: %v", depth, err)
	}
	return q
}

func submit(t *testing.T, q aio.Queue, reqs ...*aio.Request) {
	t.Helper()
	if err := q.Submit(reqs...); err != nil {
		t.Fatalf("submit: %v", err)
	}
}

// reap waits for exactly n requests and returns them.
func reap(t *testing.T, q aio.Queue, n int) []*aio.Request {
	t.Helper()
	var all []*aio.Request
	for len(all) < n {
		reqs, err := q.Reap(n - len(all))
		if err != nil {
			t.Fatalf("reap: %v", err)
		}
		if len(reqs) < n-len(all) {
			t.Fatalf("reaped %d, want at least %d", len(reqs), n-len(all))
		}
		all = append(all, reqs...)
	}
	if len(all) != n {
		t.Fatalf("reaped %d requests, %d were submitted", len(all), n)
	}
	return all
}

func reapGood(t *testing.T, q aio.Queue, n int) []*aio.Request {
	t.Helper()
	reqs := reap(t, q, n)
	for _, r := range reqs {
		if r.Err != nil {
			t.Fatalf("request %d at %d: %v", r.Op, r.Off, r.Err)
		}
	}
	return reqs
}

func closeQueue(t *testing.T, q aio.Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Errorf("close the queue: %v", err)
	}
}

func writeAt(t *testing.T, dev aio.Device, p []byte, off int64) {
	t.Helper()
	if n, err := dev.WriteAt(p, off); n != len(p) || err != nil {
		t.Fatalf("write %d bytes at %d: %d, %v", len(p), off, n, err)
	}
}

func expect(t *testing.T, dev aio.Device, want []byte, off int64) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := dev.ReadAt(got, off); n != len(got) || err != nil {
		t.Fatalf("read %d bytes at %d: %d, %v", len(got), off, n, err)
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Fatalf("%d bytes at %d: byte %d is %#x, want %#x", len(want), off, i, got[i], want[i])
	}
}
