package extent

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// fsx replays the operations of a trace on a file's map, in small nodes.
type fsx struct {
	*world
	t    *testing.T
	size uint64
	bs   uint64
}

// TestFsxMaps replays traces of fsx: in the end the same blocks are mapped, in the same states, as in the kernel.
func TestFsxMaps(t *testing.T) {
	traces, err := filepath.Glob(filepath.Join(judge.Oracles(t, "fsx"), "*.ops"))
	if err != nil || len(traces) == 0 {
		t.Skip("judge missing: oracles")
	}
	images := map[string]*simdev.Image{}
	for _, trace := range traces {
		name := strings.TrimSuffix(trace, ".ops")
		state, err := os.ReadFile(name + ".state")
		if err != nil {
			t.Fatal(err)
		}
		bs := regexp.MustCompile(`bs=(\d+)`).FindStringSubmatch(string(state))[1]
		if images[bs] == nil {
			images[bs] = mke2fs(t, "16M", "-b", bs, "-O", "^has_journal")
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			n, err := strconv.ParseUint(bs, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			f := &fsx{world: newWorld(t, images[bs], 4), t: t, bs: n}
			f.replay(trace)
			f.compare(name + ".map")
		})
	}
}

func (f *fsx) replay(trace string) {
	f.t.Helper()
	file, err := os.Open(trace)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var name string
		var off, length, size uint64
		line := lines.Text()
		if strings.HasPrefix(line, "skip") || strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %v %v %v", &name, (*hex)(&off), (*hex)(&length), (*hex)(&size)); err != nil {
			f.t.Fatalf("%s: %v", line, err)
		}
		f.step(name, off, length, strings.Contains(line, "keep_size"))
	}
}

// hex is a hexadecimal number with or without 0x.
type hex uint64

func (h *hex) Scan(state fmt.ScanState, _ rune) error {
	token, err := state.Token(true, nil)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(string(token), "0x"), 16, 64)
	*h = hex(n)
	return err
}

// step runs one operation on whole blocks.
func (f *fsx) step(name string, off, length uint64, keep bool) {
	f.t.Helper()
	end := off + length
	first, up := off/f.bs, (end+f.bs-1)/f.bs
	inFirst, inEnd := (off+f.bs-1)/f.bs, end/f.bs
	switch name {
	case "write":
		f.fill(first, up)
		f.convert(first, up, false)
	case "truncate":
		if length < f.size {
			f.remove((length+f.bs-1)/f.bs, math.MaxUint32)
		}
		f.size = length
		return
	case "fallocate":
		f.fill(first, up)
	case "zero_range":
		f.fill(first, up)
		f.convert(inFirst, inEnd, true)
	case "punch_hole":
		if end > f.size {
			inEnd = up
		}
		if off < f.size {
			f.remove(inFirst, inEnd)
		}
		return
	case "collapse_range":
		f.remove(first, up)
		f.shift(up, -int64(up-first))
		f.size -= length
		return
	case "insert_range":
		f.shift(first, int64(up-first))
		f.size += length
		return
	default:
		return
	}
	if !keep || name == "write" {
		f.size = max(f.size, end)
	}
}

// fill allocates the holes of a range.
func (f *fsx) fill(from, to uint64) {
	f.t.Helper()
	for from < to {
		f.Must(f.t, func(h *journal.Handle) error {
			e, err := f.m.Lookup(h, f.ino, layout.Lblk(from))
			if err == nil && !e.Mapped() {
				e, err = f.m.Allocate(h, f.ino, layout.Lblk(from), uint32(min(uint64(e.Len), to-from)), true)
			}
			if err == nil {
				from = e.End()
			}
			return err
		})
	}
}

func (f *fsx) convert(from, to uint64, unwritten bool) {
	f.t.Helper()
	if from < to {
		f.Must(f.t, func(h *journal.Handle) error {
			return f.m.Convert(h, f.ino, layout.Lblk(from), uint32(to-from), unwritten)
		})
	}
}

func (f *fsx) remove(from, to uint64) {
	f.t.Helper()
	for done := from >= to; !done; {
		f.Must(f.t, func(h *journal.Handle) (err error) {
			var next layout.Lblk
			done, next, err = f.m.Remove(h, f.ino, layout.Lblk(from), layout.Lblk(to))
			to = uint64(next)
			return err
		})
	}
}

func (f *fsx) shift(from uint64, delta int64) {
	f.t.Helper()
	first, last := layout.Lblk(from), ^layout.Lblk(0)
	for done := false; !done; {
		f.Must(f.t, func(h *journal.Handle) error {
			ok, next, err := f.m.Shift(h, f.ino, first, last, delta)
			if done = ok; delta < 0 {
				first = next
			} else {
				last = next
			}
			return err
		})
	}
}

func (f *fsx) compare(path string) {
	f.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	a, err := f.audit()
	if err != nil {
		f.t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		var first, n uint64
		var state string
		if _, err := fmt.Sscan(line, &first, &n, &state); err != nil {
			f.t.Fatalf("%s: %v", line, err)
		}
		if state == "hole" {
			continue
		}
		for l := first; l < first+n; l++ {
			if got, ok := a.blocks[l]; !ok || got.unwritten != (state == "unwritten") {
				f.t.Fatalf("block %d: %v %v, want %s", l, ok, got, state)
			}
			count++
		}
	}
	if len(a.blocks) != count {
		f.t.Fatalf("%d blocks mapped, want %d", len(a.blocks), count)
	}
}
