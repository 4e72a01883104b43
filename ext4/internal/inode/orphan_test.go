package inode

import (
	"errors"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

func (w *world) orphansNow() []layout.Ino {
	w.t.Helper()
	v := w.J.View()
	defer v.Close()
	list, err := w.tab.Orphans(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) present() bool {
	w.t.Helper()
	v := w.J.View()
	defer v.Close()
	super, err := w.tab.s.Super(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return super.FeatureROCompat()&layout.ROCompatOrphanPresent != 0
}

// TestOrphans adds and removes orphans at random, in the list and in the file, and lets e2fsck free those that are left.
func TestOrphans(t *testing.T) {
	for i, args := range [][]string{
		nil, {"-O", "orphan_file"}, {"-O", "orphan_file,^metadata_csum"}, {"-b", "1024", "-O", "orphan_file,^extent,^64bit"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			w := mkfs(t, 8<<20, args...)
			var made []layout.Ino
			for range 40 {
				made = append(made, w.make(layout.ModeRegular, 0))
			}
			noted := make(map[layout.Ino]bool)
			r := rand.New(rand.NewSource(int64(i)))
			for range 300 {
				w.changeOrphan(r, made[r.Intn(len(made))], noted)
			}
			got := w.orphansNow()
			slices.Sort(got)
			for _, ino := range made {
				if _, found := slices.BinarySearch(got, ino); found != noted[ino] {
					t.Errorf("inode %d among the orphans: %t, want %t", ino, found, noted[ino])
				}
				if !noted[ino] {
					w.remove(ino)
				}
			}
			path := w.Save(w.t)
			out, _ := judge.Command(t, "e2fsck", "-fy", path).CombinedOutput()
			asked := strings.Count(string(out), "? yes") - strings.Count(string(out), "is not clean.\nClear? yes")
			if n := strings.Count(string(out), "Clearing orphaned inode"); n != len(got) || asked != 0 {
				t.Errorf("e2fsck cleared %d orphans of %d:\n%s", n, len(got), out)
			}
			judge.Fsck(t, path)
		})
	}
}

// changeOrphan adds or removes an orphan, and sometimes cancels the handle.
func (w *world) changeOrphan(r *rand.Rand, ino layout.Ino, noted map[layout.Ino]bool) {
	w.t.Helper()
	h, err := w.J.Start(16)
	if err != nil {
		w.t.Fatal(err)
	}
	add := r.Intn(2) == 0
	if add {
		err = w.tab.AddOrphan(h, ino)
	} else {
		err = w.tab.DelOrphan(h, ino)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Intn(4) == 0 {
		h.Cancel()
		return
	}
	if _, err := h.Stop(); err != nil {
		w.t.Fatal(err)
	}
	noted[ino] = add
}

// TestOrphanFileFull: if the file is full, the list is used; the superblock says whether the file has entries.
func TestOrphanFileFull(t *testing.T) {
	w := mkfs(t, 48<<20, "-b", "1024", "-O", "orphan_file", "-N", "12000", "-E", "orphan_file_size=32k,lazy_itable_init=1")
	slots := 0
	w.must(func(h *journal.Handle) error {
		f, err := w.tab.file(h)
		if err == nil {
			slots = len(f.refs) * layout.OrphanBlock(make([]byte, w.G.BlockSize)).Slots()
		}
		return err
	})
	if slots > 10000 {
		t.Fatalf("%d slots", slots)
	}
	var made []layout.Ino
	for range slots + 3 {
		ino := w.make(layout.ModeRegular, 0)
		made = append(made, ino)
		w.must(func(h *journal.Handle) error { return w.tab.AddOrphan(h, ino) })
	}
	if got := w.orphansNow(); len(got) != len(made) || got[0] != made[len(made)-1] {
		t.Errorf("%d orphans, want %d; the first is %d, want %d", len(got), len(made), got[0], made[len(made)-1])
	}
	if !w.present() {
		t.Error("orphan_present is not set")
	}
	w.tab.orphans = nil // as if opened again
	for _, ino := range made {
		w.must(func(h *journal.Handle) error {
			if err := w.tab.DelOrphan(h, ino); err != nil {
				return err
			}
			return w.tab.Free(h, ino)
		})
	}
	if w.present() {
		t.Error("orphan_present is still set")
	}
	judge.Run(t, "e2fsck", "-fn", w.Save(w.t))
}

// TestOrphanCycle reads lists that are cycles or lead to no inode.
func TestOrphanCycle(t *testing.T) {
	w := mkfs(t, 8<<20)
	a, b := w.make(layout.ModeRegular, 0), w.make(layout.ModeRegular, 0)
	for _, next := range []uint32{uint32(a), uint32(b), 5, 1 << 31, w.G.Inodes} {
		w.must(func(h *journal.Handle) error {
			super, err := w.tab.s.EditSuper(h)
			if err != nil {
				return err
			}
			super.SetLastOrphan(uint32(a))
			in, err := w.tab.Edit(h, a)
			if err != nil {
				return err
			}
			in.SetDtime(uint32(b))
			if in, err = w.tab.Edit(h, b); err != nil {
				return err
			}
			in.SetDtime(next)
			return nil
		})
		v := w.J.View()
		if _, err := w.tab.Orphans(v); !errors.Is(err, layout.ErrCorrupt) {
			t.Errorf("next %d: %v", next, err)
		}
		v.Close()
		// What comes before the damage can be taken off; the damage stays, and is still told.
		w.must(func(h *journal.Handle) error { return w.tab.DelOrphan(h, a) })
		v = w.J.View()
		super, err := w.tab.s.Super(v)
		if err != nil || super.LastOrphan() != uint32(b) {
			t.Errorf("next %d: without its first inode the list begins at %d, want %d: %v", next, super.LastOrphan(), b, err)
		}
		list, err := w.tab.Orphans(v)
		if next == uint32(a) { // the circle is open now, and ends with what was taken off
			if err != nil || !slices.Equal(list, []layout.Ino{b, a}) {
				t.Errorf("next %d: after its first inode was taken off: %v, %v", next, list, err)
			}
		} else if !errors.Is(err, layout.ErrCorrupt) {
			t.Errorf("next %d: after its first inode was taken off: %v", next, err)
		}
		v.Close()
	}
}
