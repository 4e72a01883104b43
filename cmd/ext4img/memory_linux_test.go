package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/effort"
)

// peak runs command lines in processes of their own and returns the most memory that one of them had, in bytes.
func peak(t *testing.T, program string, lines ...string) (most int64) {
	t.Helper()
	for _, line := range lines {
		c := exec.Command(program, strings.Fields(line)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		rss := int64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10
		t.Logf("%s: %d MiB", line, rss>>20)
		most = max(most, rss)
	}
	return most
}

// TestMemoryOfLargeFiles preallocates, punches and removes files as large as images get, with small blocks and large
// logs, where there is most metadata to keep: no command takes more than 256 MiB.
func TestMemoryOfLargeFiles(t *testing.T) {
	effort.NeedLong(t, "takes a minute")
	dir := t.TempDir()
	program, img := filepath.Join(dir, "ext4img"), filepath.Join(dir, "img")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for _, bs := range []string{"1024", "4096"} {
		n := peak(t, program, "mkfs -F -m 0 -N 16384 -b "+bs+" "+img+" 1100G", "fallocate -l 1T "+img+" /db",
			"fallocate -p -o 1G -l 500G "+img+" /db", "fallocate -z -o 900G -l 100G "+img+" /db", "truncate -s 10G "+img+" /db", "rm "+img+" /db")
		if n > 256<<20 {
			t.Errorf("blocks of %s: %d MiB", bs, n>>20)
		}
	}
}
