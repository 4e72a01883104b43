package ext4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ext4img/ext4/layout"
)

// oracles returns the folder of outside judgements, or skips.
func oracles(t *testing.T, sub string) string {
	t.Helper()
	dir := os.Getenv("EXT4IMG_ORACLES")
	if dir == "" {
		dir = "../../shared/oracles"
	}
	dir = filepath.Join(dir, sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("judge missing: oracles")
	}
	return dir
}

// TestFsxTraces runs the recorded traces of fsx: content, size and the state of every block must be what the kernel
// made of them.
func TestFsxTraces(t *testing.T) {
	traces, err := filepath.Glob(filepath.Join(oracles(t, "fsx"), "*.ops"))
	if err != nil || len(traces) == 0 {
		t.Fatalf("%d traces: %v", len(traces), err)
	}
	imgs := map[string]string{}
	for _, ops := range traces {
		state, err := os.ReadFile(strings.TrimSuffix(ops, ".ops") + ".state")
		must(t, err)
		m := regexp.MustCompile(`size=(\d+).* bs=(\d+) sha256=(\w+)`).FindStringSubmatch(string(state))
		if m == nil {
			t.Fatalf("%s: no state", ops)
		}
		if imgs[m[2]] == "" {
			imgs[m[2]] = newImage(t, "48M", "-t", "ext4", "-b", m[2])
		}
		img := imgs[m[2]]
		name := filepath.Base(ops)
		fs, dev := openImage(t, img, Options{})
		f, err := fs.Create("/"+name, Attr{Perm: 0o644})
		must(t, err)
		runTrace(t, f, ops)
		got, err := fs.readFile("/" + name)
		must(t, err)
		if sum := sha256.Sum256(got); strconv.Itoa(len(got)) != m[1] || hex.EncodeToString(sum[:]) != m[3] {
			t.Errorf("%s: size %d, want %s; sha256 %x, want %s", name, len(got), m[1], sum, m[3])
		}
		want, err := os.ReadFile(strings.TrimSuffix(ops, ".ops") + ".map")
		must(t, err)
		if a, b := blockMap(f), withoutHoles(string(want)); a != b {
			t.Errorf("%s: map\n%swant\n%s", name, a, b)
		}
		must(t, f.Close())
		closeImage(t, fs, dev)
		if dump := dumpFile(t, img, "/"+name); !bytes.Equal(dump, got) {
			t.Errorf("%s: debugfs reads other bytes", name)
		}
	}
	for _, img := range imgs {
		fsckClean(t, img)
	}
}

// runTrace carries out the operations of a trace.
func runTrace(t *testing.T, f *File, path string) {
	t.Helper()
	r, err := os.Open(path)
	must(t, err)
	defer r.Close()
	modes := map[string]FallocMode{"fallocate": 0, "punch_hole": FallocPunchHole | FallocKeepSize, "zero_range": FallocZeroRange,
		"collapse_range": FallocCollapseRange, "insert_range": FallocInsertRange}
	for s := bufio.NewScanner(r); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) < 3 || w[0] == "skip" || w[0][0] == '#' {
			continue
		}
		off, _ := strconv.ParseInt(w[1], 0, 64)
		n, _ := strconv.ParseInt(w[2], 0, 64)
		switch mode, ok := modes[w[0]]; {
		case ok:
			if w[len(w)-1] == "keep_size" {
				mode |= FallocKeepSize
			}
			err = f.Fallocate(mode, off, n)
		case w[0] == "truncate":
			err = f.Truncate(n)
		case w[0] == "write":
			_, err = f.WriteAt(bytes.Repeat([]byte("Q"), int(n)), off)
		case w[0] != "read":
			t.Fatalf("%s: unknown operation %q", path, w[0])
		}
		if err != nil {
			t.Fatalf("%s: %s: %v", filepath.Base(path), s.Text(), err)
		}
	}
}

// blockMap is the map of a file as runs of blocks in one state, as the oracles have it.
func blockMap(f *File) string {
	var b strings.Builder
	var run layout.Extent
	flush := func() {
		if run.Len > 0 {
			fmt.Fprintf(&b, "%d %d %s\n", run.Lblk, run.Len, map[bool]string{false: "written", true: "unwritten"}[run.Unwritten])
		}
	}
	if err := f.Extents(func(e layout.Extent) bool {
		if run.Len > 0 && run.End() == uint64(e.Lblk) && run.Unwritten == e.Unwritten {
			run.Len += e.Len
			return true
		}
		flush()
		run = e
		return true
	}); err != nil {
		return err.Error()
	}
	flush()
	return b.String()
}

func withoutHoles(m string) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(m, "\n") {
		if !strings.Contains(line, "hole") {
			b.WriteString(line)
		}
	}
	return b.String()
}
