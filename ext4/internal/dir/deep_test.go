package dir_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// TestDeep grows directories with long names until their index has all its levels, and removes all names again. With
// EXT4IMG_LONG=1 it adds 100,000 names and more.
func TestDeep(t *testing.T) {
	for _, k := range []struct {
		name, size string
		args       []string
		short      int
		long       int
		levels     string // of the index in the long form
	}{
		{"1k", "256M", []string{"-b", "1024"}, 1500, 20000, "1"},
		{"4k", "256M", []string{"-b", "4096"}, 1500, 120000, "1"},
		{"1k-large", "512M", []string{"-b", "1024", "-O", "large_dir"}, 1500, 120000, "2"},
	} {
		t.Run(k.name, func(t *testing.T) {
			n := k.short
			if effort.Long() {
				n = k.long
			}
			w := newWorld(t, stack.Mke2fs(t, k.size, k.args...))
			d := w.mkdir(t, layout.RootIno, "d")
			files := w.mkfiles(t, 1+n/30000)
			names := w.fill(t, d, files, n, func(i int) string {
				return fmt.Sprintf("%0200d-%d", i, i)
			})
			w.judgeNames(t, d, files, names)
			path := w.Save(t)
			if n == k.long {
				if m := regexp.MustCompile(`Indirect levels: (\d)`).FindStringSubmatch(judge.Debugfs(t, path, "htree /d")); m == nil || m[1] != k.levels {
					t.Errorf("debugfs htree: %v, want %s indirect levels", m, k.levels)
				}
			}
			w.Open(t)
			w.removeAll(t, d, names)
			w.setLinks(t, files, nil)
			judge.Fsck(t, w.Save(t))
		})
	}
}

// fill adds n names, many in each handle.
func (w *world) fill(t *testing.T, d layout.Ino, files []layout.Ino, n int, name func(i int) string) map[string]layout.Ino {
	t.Helper()
	names := map[string]layout.Ino{}
	for i := 0; i < n; {
		w.Must(t, func(h *journal.Handle) error {
			for range 50 {
				if i == n {
					return nil
				}
				s, ino := name(i), files[i%len(files)]
				if err := w.Dirs.Add(h, d, s, ino, layout.FTRegular); err != nil {
					return fmt.Errorf("number %d: %w", i, err)
				}
				names[s] = ino
				i++
			}
			return nil
		})
	}
	return names
}

func (w *world) removeAll(t *testing.T, d layout.Ino, names map[string]layout.Ino) {
	t.Helper()
	for name := range names {
		w.Must(t, func(h *journal.Handle) error { _, err := w.Dirs.Remove(h, d, name); return err })
	}
	if left := w.names(t, d); len(left) != 0 {
		t.Fatalf("%d names left", len(left))
	}
}

// TestFull fills an index to its last entry: the next Add returns ENOSPC and changes nothing.
func TestFull(t *testing.T) {
	w := newWorld(t, stack.Mke2fs(t, "64M", "-b", "1024"))
	d := w.mkdir(t, layout.RootIno, "d")
	files := w.mkfiles(t, 1)
	names := map[string]layout.Ino{}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%0200d-%d", i, i)
		err := w.Do(t, func(h *journal.Handle) error { return w.Dirs.Add(h, d, name, files[0], layout.FTRegular) })
		if errors.Is(err, syscall.ENOSPC) && len(names) > 20000 {
			if !strings.Contains(err.Error(), "full") || !strings.Contains(err.Error(), "large_dir") {
				t.Errorf("what is full: %v", err)
			}
			break
		}
		if err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
		names[name] = files[0]
	}
	w.links(t, files, names)
	judge.Fsck(t, w.Save(t))
}

// TestCollisions fills leaves, which hold three names, with pairs of names that have the same hash, so that many
// splits separate a pair.
func TestCollisions(t *testing.T) {
	w := newWorld(t, stack.Mke2fs(t, "16M", "-b", "1024"))
	const seed = 3
	rnd := rand.New(rand.NewPCG(seed, 0))
	d := w.mkdir(t, layout.RootIno, "d")
	files := w.mkfiles(t, 1)
	pairs := w.sameHash(t)
	rnd.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	names := w.fill(t, d, files, len(pairs), func(i int) string { return pairs[i] })
	w.judgeNames(t, d, files, names)
	path := w.Save(t)
	odd := regexp.MustCompile(`Hash 0x[0-9a-f]+[13579bdf]\b`).FindAllString(judge.Debugfs(t, path, "htree /d"), -1)
	if len(odd) == 0 {
		t.Errorf("seed %d: no hash of %d names goes on in another leaf", seed, len(names))
	}
	t.Logf("%d names, %d leaves where a hash goes on", len(names), len(odd))
	w.Open(t)
	w.removeAll(t, d, names)
	w.setLinks(t, files, nil)
	judge.Fsck(t, w.Save(t))
}

// sameHash returns long names in groups of two or more with the same hash. Among a million names some collide.
func (w *world) sameHash(t *testing.T) []string {
	t.Helper()
	name := func(i uint32) string { return fmt.Sprintf("%08x%0240d", i, 0) }
	list := make([]uint64, 1<<20)
	for i := range list {
		h, ok := w.G.DirHash(layout.HashHalfMD4, []byte(name(uint32(i))))
		if !ok {
			t.Fatal("no hash")
		}
		list[i] = uint64(h)<<32 | uint64(i)
	}
	slices.Sort(list)
	var out []string
	for i, x := range list {
		if i > 0 && list[i-1]>>32 == x>>32 || i+1 < len(list) && list[i+1]>>32 == x>>32 {
			out = append(out, name(uint32(x)))
		}
	}
	return out
}
