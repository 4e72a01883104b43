package simdev_test

import (
	"bytes"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
)

func write(t *testing.T, d aio.Device, b byte, off int64, n int) {
	t.Helper()
	if _, err := d.WriteAt(bytes.Repeat([]byte{b}, n), off); err != nil {
		t.Fatal(err)
	}
}

func byteAt(t *testing.T, d aio.Device, off int64) byte {
	t.Helper()
	var p [1]byte
	if _, err := d.ReadAt(p[:], off); err != nil {
		t.Fatal(err)
	}
	return p[0]
}

func TestCrashStates(t *testing.T) {
	d := simdev.New(1 << 40)
	write(t, d, 1, 0, 4096)
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	write(t, d, 2, 0, 4096)
	write(t, d, 3, 1<<39, 1024)
	if n := len(d.Pending()); n != 2 {
		t.Fatalf("%d writes pending, want 2", n)
	}
	none := d.Crash()
	if byteAt(t, none, 0) != 1 || byteAt(t, none, 1<<39) != 0 {
		t.Error("what was not flushed survived, or what was flushed did not")
	}
	torn := d.Crash(simdev.Sectors(d.Pending()[0])[1], simdev.Sectors(d.Pending()[1])[0])
	for off, want := range map[int64]byte{0: 1, 511: 1, 512: 2, 1023: 2, 1024: 1, 1 << 39: 3, 1<<39 + 512: 0} {
		if got := byteAt(t, torn, off); got != want {
			t.Errorf("torn state: byte %d is %d, want %d", off, got, want)
		}
	}
	if all := d.Crash(simdev.Wholes(d.Pending())...); all.Hash() != d.Hash() {
		t.Error("the state with every write differs from the device")
	}
}

// TestTraceStates goes through a trace upwards and downwards, and compares with devices that were crashed at each
// time.
func TestTraceStates(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	d := simdev.New(1 << 20)
	write(t, d, 9, 0, 1<<20)
	d.Record()
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	var want []uint64
	for range 20 {
		for range r.Intn(5) {
			write(t, d, byte(r.Int()), int64(r.Intn(1<<19)), 1+r.Intn(9000))
		}
		want = append(want, d.Crash().Hash(), d.Hash())
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	tr := d.Trace()
	for _, i := range append(r.Perm(20), 0, 1, 2, 19) {
		e := tr.First + 1 + i
		if got := tr.State(e).Hash(); got != want[2*i] {
			t.Errorf("epoch %d without its writes: %x, want %x", e, got, want[2*i])
		}
		if got := tr.State(e, simdev.Wholes(tr.Open(e))...).Hash(); got != want[2*i+1] {
			t.Errorf("epoch %d with its writes: %x, want %x", e, got, want[2*i+1])
		}
	}
}

// TestInFlightIsNotDurable: a flush says nothing about a write that was not reaped before it.
func TestInFlightIsNotDurable(t *testing.T) {
	d := simdev.New(1 << 20)
	d.Record()
	d.Hold(nil)
	q, err := d.Queue(4)
	if err != nil {
		t.Fatal(err)
	}
	buf := bytes.Repeat([]byte{7}, 512)
	if err := q.Submit(&aio.Request{Op: aio.Write, Buf: buf, Off: 0}); err != nil {
		t.Fatal(err)
	}
	if buf[0] != simdev.Scribble {
		t.Error("a buffer in flight still has its content")
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	d.Release(d.WaitHeld(1)...)
	if byteAt(t, d.Crash(), 0) != 0 || byteAt(t, d, 0) != 7 {
		t.Error("write in flight: durable, or not visible after its completion")
	}
	if rs, err := q.Reap(1); err != nil || len(rs) != 1 || rs[0].Err != nil || buf[0] != 7 {
		t.Fatalf("reap: %v, %v, buffer %d", rs, err, buf[0])
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	if byteAt(t, d.Crash(), 0) != 7 {
		t.Error("not durable after a flush that followed its completion")
	}
	tr := d.Trace()
	if w := tr.Writes[0]; w.Epoch != 0 || w.Until != 1 || len(tr.Open(0)) != 1 || len(tr.Open(1)) != 1 || len(tr.Open(2)) != 0 {
		t.Errorf("trace: epoch %d until %d", w.Epoch, w.Until)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	d := simdev.New(1 << 20)
	write(t, d, 1, 0, 4096)
	d.SetFault(simdev.FailAt(d.IOs(), &simdev.Torn{Bytes: 512, Err: boom}))
	if n, err := d.WriteAt(bytes.Repeat([]byte{2}, 1024), 0); n != 512 || !errors.Is(err, boom) {
		t.Errorf("torn write: %d, %v", n, err)
	}
	if byteAt(t, d, 511) != 2 || byteAt(t, d, 512) != 1 {
		t.Error("torn write: wrong content")
	}
	d.SetFault(simdev.FailFrom(d.IOs(), boom))
	if err := d.Flush(); !errors.Is(err, boom) || d.Epoch() != 0 {
		t.Errorf("flush: %v", err)
	}
	if byteAt(t, d.Crash(), 0) != 0 {
		t.Error("a failed flush made something durable")
	}
}

func TestHashAndSave(t *testing.T) {
	a, b := simdev.NewFilled(1<<30, 0xAA), simdev.NewFilled(1<<30, 0xAA)
	write(t, a, 5, 12345, 100)
	write(t, a, 6, 1<<29, 5000)
	write(t, b, 6, 1<<29, 5000)
	write(t, b, 1, 12345, 100)
	if a.Hash() == b.Hash() {
		t.Error("different contents have one hash")
	}
	write(t, b, 5, 12345, 100)
	if a.Hash() != b.Hash() {
		t.Error("equal contents have two hashes")
	}
	write(t, a, 0xAA, 1<<29, 5000)
	write(t, a, 0xAA, 12345, 100)
	if a.Hash() != simdev.NewFilled(1<<30, 0xAA).Hash() && a.Hash() != 0 {
		t.Error("the fill byte, written, changes the hash")
	}

	c := simdev.New(1 << 26)
	write(t, c, 3, 1<<25+7, 9)
	path := filepath.Join(t.TempDir(), "image")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Size() != 1<<26 {
		t.Fatalf("saved: %v, %v", fi, err)
	}
	back, err := simdev.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Hash() != c.Hash() {
		t.Error("loaded image differs")
	}
}
