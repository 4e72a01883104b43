package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ext4img/testimages/judge"
)

// poisonedImage makes an image whose free space is not zero, so that what was never written would show.
func poisonedImage(t *testing.T, size int64, flags ...string) string {
	t.Helper()
	judge.Need(t, "mke2fs")
	path := filepath.Join(t.TempDir(), "a.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, endless(0xAA), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-q", "-F", "-t", "ext4", "-E", "nodiscard"}, flags...)
	judge.Run(t, "mke2fs", append(args, path)...)
	return path
}

// endless reads as one byte for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte{byte(e)}, len(p))), nil
}

// TestSideJobs does what xfstests generic/299 and generic/300 do: random direct I/O on a sparse file larger than the file
// system, while others truncate, preallocate and punch it, until nothing is free. Nobody hangs, no error but ENOSPC, what
// is read back was written or is zero, and the file system is clean.
func TestSideJobs(t *testing.T) {
	runtime := "--runtime=2s"
	switch {
	case long():
		runtime = "--runtime=60s"
	case testing.Short():
		runtime = "--runtime=500ms"
	}
	for _, c := range []struct{ name, line, block string }{
		{"generic 299", "--bs 16K --truncate-every 1000 --fallocate-every 150", "4096"},
		{"generic 300", "--bs 4K --truncate-every 1500 --fallocate-every 150 --punch-every 100 --fsync-every 5000", "4096"},
		{"unaligned", "--bs 1536 --truncate-every 700 --fallocate-every 150 --punch-every 100", "4096"},
		{"small blocks", "--bs 2K --truncate-every 1500 --fallocate-every 150 --punch-every 100", "1024"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := poisonedImage(t, 64<<20, "-b", c.block)
			var res stressResult
			out := ok(t, "stress --rw randrw --size 256M --seed 299 --verify --json "+runtime+" "+c.line, img, "/data")
			if err := json.Unmarshal([]byte(out), &res); err != nil {
				t.Fatal(err)
			}
			if res.IOs == 0 || res.SideJobs == 0 {
				t.Errorf("%+v", res)
			}
			t.Logf("%d requests, %d side jobs, %d bytes verified", res.IOs, res.SideJobs, res.Verified)
			fsck(t, img)
			ok(t, "verify", img)
		})
	}
}
