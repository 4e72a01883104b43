package aio_test

import (
	"bytes"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
)

// newFile makes a file of size bytes on a real disk.
func newFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, o aio.Options) aio.Device {
	t.Helper()
	dev, err := aio.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// TestUnaligned compares random transfers of every alignment with a plain slice, also in the tail after the last sector.
func TestUnaligned(t *testing.T) {
	const size = 1<<20 + 700
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	sub, err := aio.Section(open(t, newFile(t, size+100), aio.Options{Write: true}), 100, size)
	if err != nil {
		t.Fatal(err)
	}
	for name, dev := range map[string]aio.Device{
		"direct":  open(t, newFile(t, size), aio.Options{Write: true}),
		"section": sub,
		"overlay": aio.NewOverlay(simdev.New(size)),
		"simdev":  simdev.New(size),
	} {
		t.Run(name, func(t *testing.T) { compareRandom(t, dev, rand.New(rand.NewSource(seed))) })
	}
}

func compareRandom(t *testing.T, dev aio.Device, r *rand.Rand) {
	want := make([]byte, dev.Size())
	for range 200 {
		off := r.Intn(len(want))
		n := 1 + r.Intn(min(len(want)-off, 1<<uint(r.Intn(20))))
		p := make([]byte, n)
		if r.Intn(2) == 0 {
			r.Read(p)
			copy(want[off:], p)
			if m, err := dev.WriteAt(p, int64(off)); m != n || err != nil {
				t.Fatalf("write %d at %d: %d, %v", n, off, m, err)
			}
		} else if m, err := dev.ReadAt(p, int64(off)); m != n || err != nil {
			t.Fatalf("read %d at %d: %d, %v", n, off, m, err)
		} else if !bytes.Equal(p, want[off:off+n]) {
			t.Fatalf("read %d at %d: wrong bytes", n, off)
		}
	}
	got := make([]byte, len(want))
	if _, err := dev.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("final content differs")
	}
	if dev.Size() != int64(len(want)) {
		t.Fatalf("size changed to %d", dev.Size())
	}
}
