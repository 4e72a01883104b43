package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestBadSizes reads files with sizes around the largest one, and beyond, by all ways there are: a size that a file can
// have is believed; one that it cannot have ends the reading behind what is mapped, with an error that names the size.
func TestBadSizes(t *testing.T) {
	const bs = 1024
	extents, mapped := int64(math.MaxUint32)*bs, int64(12+256+256*256+256*256*256)*bs
	kinds := map[string]struct {
		opts  []string
		limit int64
		held  int // bytes
	}{
		"extents":  {[]string{"-t", "ext4"}, extents, 27 * bs},
		"indirect": {[]string{"-t", "ext3"}, mapped, 27 * bs},
		"inline":   {[]string{"-t", "ext4", "-I", "256", "-O", "inline_data"}, extents, 80},
	}
	sizes := map[string]func(limit int64) uint64{
		"at the limit":   func(n int64) uint64 { return uint64(n) },
		"one more":       func(n int64) uint64 { return uint64(n) + 1 },
		"wraps around":   func(int64) uint64 { return 1<<32*bs + 5 },
		"1 << 62":        func(int64) uint64 { return 1 << 62 },
		"largest signed": func(int64) uint64 { return math.MaxInt64 },
		"sign bit alone": func(int64) uint64 { return 1<<63 + 5 },
		"all bits":       func(int64) uint64 { return math.MaxUint64 },
	}
	for kind, k := range kinds {
		for name, size := range sizes {
			t.Run(kind+"/"+name, func(t *testing.T) {
				img, content := twoFiles(t, append([]string{"-b", fmt.Sprint(bs)}, k.opts...)...)
				fs, dev := openImage(t, img, Options{})
				path := "/f"
				if kind == "inline" {
					path = "/small"
					content = bytes.Repeat([]byte("inline "), 12)[:k.held]
					writeFile(t, fs, path, content)
				}
				closeImage(t, fs, dev)
				n := size(k.limit)
				change(t, img, fmt.Sprintf("sif %s size %d", path, n))
				want := append(bytes.Clone(content), make([]byte, k.held-min(k.held, len(content)))...)
				badSize(t, img, path, n, n > uint64(k.limit), want)
			})
		}
	}
}

func badSize(t *testing.T, img, path string, size uint64, bad bool, held []byte) {
	t.Helper()
	fs, dev := openImage(t, img, Options{ReadOnly: true})
	defer closeImage(t, fs, dev)
	info, err := fs.Stat(path)
	must(t, err)
	if want := int64(min(size, math.MaxInt64)); info.Size() != want {
		t.Errorf("size %d, want %d", info.Size(), want)
	}
	file, err := fs.OpenFile(path, os.O_RDONLY, 0)
	must(t, err)
	defer file.Close()
	check := func(what string, err, want error) {
		t.Helper()
		if bad {
			want = ErrCorrupt
		}
		if !errors.Is(err, want) || bad && !strings.Contains(fmt.Sprint(err), fmt.Sprint(size)) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err = file.Seek(int64(len(held))+100000, SeekData)
	if inline := len(held) < 1000; !inline || bad {
		check("seek", err, syscall.ENXIO)
	}
	if at, err := file.Seek(0, SeekHole); err != nil && !bad || at < 0 {
		t.Errorf("a hole at %d: %v", at, err)
	}
	far := []int64{int64(min(size, math.MaxInt64)), math.MaxInt64}
	for _, off := range far {
		n, err := file.ReadAt(make([]byte, 10), off)
		check(fmt.Sprintf("read %d at %d", n, off), err, io.EOF)
	}
	_, err = file.Seek(0, io.SeekStart)
	must(t, err)
	if !bad {
		return // it reads as zeros for terabytes
	}
	got, err := io.ReadAll(file)
	check("read", err, nil)
	if !bytes.Equal(got, held) {
		t.Errorf("%d bytes, want %d", len(got), len(held))
	}
	_, err = fs.ReadFile(path[1:])
	check("ReadFile", err, nil)
}
