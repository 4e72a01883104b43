package aio_test

import (
	"errors"
	"io"
	"os"
	"testing"

	"ext4img/aio"
	"ext4img/aio/block"
)

// cutWrite writes a block through a queue and flushes.
func cutWrite(t *testing.T, d aio.Device, off int64) error {
	t.Helper()
	q, err := d.Queue(2)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, r := range []*aio.Request{{Op: aio.Write, Buf: block.Aligned(4096, 4096), Off: off}, {Op: aio.Flush}} {
		if err := q.Submit(r); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Reap(1); err != nil {
			t.Fatal(err)
		}
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// TestCutShort: another program makes the file shorter while it is open. Whatever is written then, also where it makes the
// file longer again, the next flush and Close say so, and all that follow.
func TestCutShort(t *testing.T) {
	const size = 4 << 20
	for _, engine := range engines() {
		for name, c := range map[string]struct {
			left  int64
			first bool  // a block is written and flushed before
			write int64 // and one after; -1: none
		}{
			"before the first write":   {left: 1 << 20, write: 0},
			"between write and flush":  {left: 1 << 20, first: true, write: -1},
			"to nothing":               {first: true, write: 8192},
			"by one byte":              {left: size - 1, first: true, write: -1},
			"longer by the write":      {left: 1 << 20, first: true, write: 2 << 20},
			"whole again by the write": {left: 1 << 20, first: true, write: size - 4096},
		} {
			path := newFile(t, size)
			d, err := aio.Open(path, aio.Options{Write: true, Engine: engine})
			if err != nil {
				t.Fatal(err)
			}
			if c.first {
				if err := errors.Join(cutWrite(t, d, 4096), d.Flush()); err != nil {
					t.Errorf("%s: %s: before: %v", engine, name, err)
				}
			}
			if err := os.Truncate(path, c.left); err != nil {
				t.Fatal(err)
			}
			var cut *aio.CutShortError
			if c.write >= 0 {
				if err := cutWrite(t, d, c.write); !errors.As(err, &cut) || cut.Was != size || cut.Size >= size {
					t.Errorf("%s: %s: write and flush: %v", engine, name, err)
				}
			}
			for range 2 {
				if err := d.Flush(); !errors.As(err, &cut) || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: %s: flush: %v", engine, name, err)
				}
			}
			if err := os.Truncate(path, size); err != nil { // once seen, it stays
				t.Fatal(err)
			}
			if err := d.Flush(); !errors.As(err, &cut) {
				t.Errorf("%s: %s: flush of a file that is whole again: %v", engine, name, err)
			}
			if _, err := d.WriteAt(make([]byte, 4096), 0); !errors.As(err, &cut) {
				t.Errorf("%s: %s: write: %v", engine, name, err)
			}
			if err := d.Close(); !errors.As(err, &cut) {
				t.Errorf("%s: %s: close: %v", engine, name, err)
			}
		}
	}
}

// TestCutShortAtEnd: after the last flush only Close can tell; where nothing was written, nothing was lost. A file that
// has become longer is no matter.
func TestCutShortAtEnd(t *testing.T) {
	for name, c := range map[string]struct {
		write bool
		size  int64
		bad   bool
	}{"written": {true, 4096, true}, "read": {false, 4096, false}, "longer": {true, 2 << 20, false}} {
		path := newFile(t, 1<<20)
		d, err := aio.Open(path, aio.Options{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if c.write {
			if err := cutWrite(t, d, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(path, c.size); err != nil {
			t.Fatal(err)
		}
		if !c.write {
			p := make([]byte, 4096)
			if _, err := d.ReadAt(p, 8192); !errors.As(err, new(*aio.CutShortError)) {
				t.Errorf("%s: read behind the end: %v", name, err)
			}
		}
		if err := d.Close(); c.bad != errors.As(err, new(*aio.CutShortError)) || !c.bad && err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}
