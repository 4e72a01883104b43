package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/ext4"
)

// cutter is an input that cuts the image after so many bytes of it were read.
type cutter struct {
	r      io.Reader
	after  int64
	img    string
	size   int64
	done   bool
	failed error
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.after <= 0 && !c.done {
		c.done, c.failed = true, os.Truncate(c.img, c.size)
	}
	if !c.done {
		p = p[:min(int64(len(p)), c.after)]
	}
	n, err := c.r.Read(p)
	c.after -= int64(n)
	return n, err
}

// TestImageCutShort: another program cuts the image while a command writes to it, at any time and to any size: the command
// says so, and fails.
func TestImageCutShort(t *testing.T) {
	const bytesIn = 8 << 20
	data := make([]byte, bytesIn)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(data)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range []string{"a", "b", "c", "d"} {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: bytesIn / 4})
		if _, e := w.Write(data[:bytesIn/4]); err != nil || e != nil {
			t.Fatal(err, e)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for line, in := range map[string][]byte{"write IMAGE /f": data, "put - IMAGE /f": data, "import --tar - IMAGE /": archive.Bytes()} {
		first := int64(0)
		if strings.HasPrefix(line, "import") {
			first = 1 << 20 // an archive is looked into before the image is opened
		}
		for name, at := range map[string]int64{"before the first write": first, "in the middle": bytesIn / 2, "at the end": int64(len(in))} {
			for _, left := range []int64{10 << 20, 64<<20 - 512, 0} {
				img := newImage(t, "64M", "-b", "4096")
				c := &cutter{r: bytes.NewReader(in), after: at, img: img, size: left}
				r := cmd(t, c, strings.ReplaceAll(line, "IMAGE", img))
				if !c.done || c.failed != nil || r.status != 1 || !strings.Contains(r.err, "cut short by another program: ") {
					t.Errorf("%s: cut %s to %d: %v %v: %+v", line, name, left, c.done, c.failed, r)
				}
			}
		}
	}
}

// TestCutShortBetweenSyncs: what was synced before the cut was, and nothing after it is.
func TestCutShortBetweenSyncs(t *testing.T) {
	img := newImage(t, "64M", "-b", "4096")
	dev, err := aio.Open(img, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := f.Create("/f", ext4.Attr{Perm: 0o644})
	if err != nil {
		t.Fatal(err)
	}
	var cut *aio.CutShortError
	for i := range 3 {
		if i == 1 {
			if err := os.Truncate(img, 20<<20); err != nil {
				t.Fatal(err)
			}
		}
		_, err := file.WriteAt([]byte("data"), int64(i)*4096)
		if e := file.Sync(); err == nil {
			err = e
		}
		if i == 0 && err != nil || i > 0 && err == nil || i == 1 && !errors.As(err, &cut) {
			t.Errorf("sync %d: %v", i, err)
		}
	}
	_ = file.Close()
	if err := errors.Join(f.Close(), dev.Close()); !errors.As(err, &cut) || cut.Size < 20<<20 || cut.Was != 64<<20 {
		t.Errorf("close: %v", err)
	}
}
