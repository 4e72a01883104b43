package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestLimits runs commands with few file descriptors and little address space: they do their work or say what is missing,
// without a stack trace, and the image stays clean.
//
// What no program in Go can help: with less than about 700,000 KiB of address space (ulimit -v) the runtime cannot reserve its
// own tables before main begins, and up to twice as much not always the first 64 MiB of its heap and the stacks of its
// threads; then it ends with its own message, as it does where the system refuses a thread (ulimit -u). The image stays clean.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	program, src := filepath.Join(dir, "ext4img"), filepath.Join(dir, "src")
	build := judge.Command(t, "go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	if err := os.WriteFile(src, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	img := newImage(t, "16M", "-b", "1024")
	ok(t, "put", src, img, "/f")
	var limits []string
	for _, n := range []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 12} {
		limits = append(limits, fmt.Sprintf("-n %d", n))
	}
	for _, v := range []int{400000, 600000, 800000, 8000000} {
		limits = append(limits, fmt.Sprintf("-v %d", v))
	}
	for _, limit := range limits {
		done := 0
		for _, line := range []string{"ls IMG /", "cat IMG /f", "info IMG", "verify IMG", "put SRC IMG /g", "fallocate -l 1M IMG /h",
			"write --from SRC IMG /w", "export --tar IMG / OUT"} {
			line = strings.NewReplacer("IMG", img, "SRC", src, "OUT", filepath.Join(dir, "out.tar")).Replace(line)
			c := judge.Command(t, "sh", "-c", "ulimit "+limit+" && exec "+program+" "+line)
			out, err := c.CombinedOutput()
			starts := strings.HasPrefix(limit, "-n") || limit == "-v 8000000"
			switch {
			case !starts && err != nil && strings.Contains(string(out), "fatal error: "):
				// the runtime's own
			case strings.Contains(string(out), "goroutine ") || c.ProcessState == nil || c.ProcessState.ExitCode() < 0:
				t.Errorf("ulimit %s: %s: %v\n%.300s", limit, line, err, out)
			case err != nil && len(out) == 0:
				t.Errorf("ulimit %s: %s: %v, and nothing is said", limit, line, err)
			case err == nil:
				done++
			}
		}
		if (limit == "-n 12" || limit == "-v 8000000") && done < 8 {
			t.Errorf("ulimit %s: only %d commands did their work", limit, done)
		}
	}
	fsck(t, img)
}
