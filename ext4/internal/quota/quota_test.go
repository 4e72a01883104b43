package quota

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// A world is a file system made by mke2fs, on a device in memory.
type world struct {
	*bare.FS
	t   testing.TB
	tab *inode.Table
	m   *extent.Mapper
	q   *Quota
}

func mkfs(t testing.TB, args ...string) *world {
	t.Helper()
	judge.Need(t, "e2fsck", "debugfs")
	return newWorld(t, judge.Image(t, "64M", append([]string{"-O", "quota"}, args...)...))
}

// newWorld opens a copy of an image.
func newWorld(t testing.TB, image *simdev.Image) *world {
	t.Helper()
	w := &world{FS: bare.New(t, image), t: t}
	w.Credits = 400 // enough to remove a file in one go
	s := group.New(w.G, w.J)
	w.tab = inode.New(s, nil)
	w.m = extent.New(s, w.tab)
	w.q = New(w.tab, w.m)
	return w
}

var errCancel = errors.New("cancel")

// do runs fn in a handle and settles. With cancel it cancels the handle.
func (w *world) do(cancel bool, fn func(h *journal.Handle) error) error {
	w.t.Helper()
	err := w.Do(w.t, func(h *journal.Handle) error {
		err := fn(h)
		if err == nil {
			err = w.q.Settle(h)
		}
		if err == nil && cancel {
			err = errCancel
		}
		return err
	})
	if err == errCancel {
		return nil
	}
	return err
}

// fsck gives names to the files, which debugfs does without a new block, and lets e2fsck judge the usage of all
// owners.
func (w *world) fsck(files map[layout.Ino]bool) {
	w.t.Helper()
	path := w.Save(w.t)
	var script strings.Builder
	for ino := range files {
		fmt.Fprintf(&script, "ln <%d> %d\n", ino, ino)
	}
	judge.Change(w.t, path, script.String())
	if out := judge.Run(w.t, "e2fsck", "-fn", path); strings.Contains(out, "QUOTA") {
		w.t.Fatal(out)
	}
}

// TestRandom makes files of many owners, writes, chowns and removes them, some of it in handles that are cancelled.
func TestRandom(t *testing.T) {
	for i, args := range [][]string{
		{"-b", "4096"}, {"-b", "4096", "-O", "project"}, {"-b", "2048", "-O", "project,^extent,^64bit"},
		{"-b", "4096", "-O", "bigalloc,project"}, {"-b", "4096", "-O", "^metadata_csum"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			seed := int64(i + 1)
			t.Logf("seed %d", seed)
			w := mkfs(t, args...)
			w.fsck(w.randomly(rand.New(rand.NewSource(seed)), 500))
		})
	}
}

// someID returns one of many identifiers, some near each other and some far apart.
func someID(r *rand.Rand) uint32 { return uint32(r.Intn(25)) << (8 * r.Intn(4)) }

func (w *world) randomly(r *rand.Rand, steps int) map[layout.Ino]bool {
	w.t.Helper()
	files := make(map[layout.Ino]bool)
	pick := func() layout.Ino {
		for ino := range files {
			return ino
		}
		return 0
	}
	for range steps {
		cancel := r.Intn(6) == 0
		ino, what := pick(), r.Intn(5)
		if ino == 0 || what == 0 && len(files) < 80 {
			var made layout.Ino
			err := w.do(cancel, func(h *journal.Handle) (err error) {
				made, err = w.make(h, r)
				return err
			})
			if err != nil {
				w.t.Fatal(err)
			}
			if !cancel {
				files[made] = true
			}
			continue
		}
		err := w.do(cancel, func(h *journal.Handle) error { return w.change(h, r, ino, what) })
		if err != nil {
			w.t.Fatal(err)
		}
		if what == 4 && !cancel {
			delete(files, ino)
		}
	}
	return files
}

func (w *world) make(h *journal.Handle, r *rand.Rand) (layout.Ino, error) {
	ino, in, err := w.tab.New(h, layout.RootIno, layout.ModeRegular|0o644)
	if err != nil {
		return 0, err
	}
	in.SetLinks(1)
	w.chown(in, r)
	return ino, nil
}

func (w *world) chown(in layout.Inode, r *rand.Rand) {
	in.SetUID(someID(r))
	in.SetGID(someID(r))
	if w.G.ROCompat&layout.ROCompatProject != 0 {
		in.SetProjectID(someID(r))
	}
}

func (w *world) change(h *journal.Handle, r *rand.Rand, ino layout.Ino, what int) error {
	in, err := w.tab.Edit(h, ino)
	if err != nil {
		return err
	}
	switch what {
	case 2:
		w.chown(in, r)
	case 3, 4:
		if err := w.remove(h, ino, 0, ^layout.Lblk(0)); err != nil || what == 3 {
			in.SetSize(0)
			return err
		}
		in.SetLinks(0)
		return w.tab.Free(h, ino)
	default:
		at := in.Size() / uint64(w.G.BlockSize)
		e, err := w.m.Allocate(h, ino, layout.Lblk(at), uint32(1+r.Intn(20)), false)
		if err != nil {
			return err
		}
		return w.tab.SetSize(h, ino, e.End()*uint64(w.G.BlockSize))
	}
	return nil
}

func (w *world) remove(h *journal.Handle, ino layout.Ino, from, to layout.Lblk) error {
	done, _, err := w.m.Remove(h, ino, from, to)
	if err == nil && !done {
		err = errors.New("not removed in one go")
	}
	return err
}

// TestManyOwners makes the tree deep and wide: each file has its own owner.
func TestManyOwners(t *testing.T) {
	w := mkfs(t, "-b", "4096")
	r := rand.New(rand.NewSource(5))
	want := map[uint32]uint64{}
	files := make(map[layout.Ino]bool)
	for range 150 {
		uid := r.Uint32()
		err := w.do(false, func(h *journal.Handle) error {
			ino, in, err := w.tab.New(h, layout.RootIno, layout.ModeRegular)
			if err == nil {
				in.SetUID(uid)
				in.SetLinks(1)
				files[ino] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want[uid]++
	}
	v := w.J.View()
	for uid, n := range want {
		if bytes, inodes, err := w.usage(v, Users, uid); err != nil || bytes != 0 || inodes != n {
			t.Errorf("user %d: %d bytes, %d inodes, %v; want %d inodes", uid, bytes, inodes, err, n)
		}
	}
	if bytes, inodes, err := w.usage(v, Users, 123456); err != nil || bytes != 0 || inodes != 0 {
		t.Errorf("nobody: %d bytes, %d inodes, %v", bytes, inodes, err)
	}
	v.Close()
	w.fsck(files)
}

// TestGarbage puts garbage into every word of the header and the tree; nothing panics or hangs, and errors say corrupt.
func TestGarbage(t *testing.T) {
	w := mkfs(t, "-b", "4096")
	image := w.Dev.Image()
	v := w.J.View()
	var at [7]layout.Pblk
	for block := range at {
		e, err := w.m.Lookup(v, layout.UserQuotaIno, layout.Lblk(block/4))
		if err != nil {
			t.Fatal(err)
		}
		at[block] = e.Pblk
	}
	v.Close()
	r := rand.New(rand.NewSource(9))
	for range 300 {
		dev := simdev.FromImage(image)
		for range 1 + r.Intn(4) {
			block := r.Intn(6)
			off := int64(at[block])*4096 + int64(block%4)*1024 + 4*int64(r.Intn(64))
			word := make([]byte, 4)
			word[0], word[r.Intn(4)] = byte(r.Intn(9)), byte(r.Intn(3)*r.Intn(100))
			if _, err := dev.WriteAt(word, off); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, dev.Image())
		for range 3 {
			err := w.do(false, func(h *journal.Handle) error {
				_, err := w.make(h, r)
				return err
			})
			if err != nil && !errors.Is(err, layout.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	}
}

// TestHole: a quota file with a hole is corrupt.
func TestHole(t *testing.T) {
	w := mkfs(t, "-b", "1024")
	err := w.do(false, func(h *journal.Handle) error {
		if err := w.remove(h, layout.UserQuotaIno, 2, 3); err != nil {
			return err
		}
		_, _, err := w.tab.New(h, layout.RootIno, layout.ModeRegular)
		return err
	})
	if !errors.Is(err, layout.ErrCorrupt) {
		t.Errorf("a hole: %v", err)
	}
}

// usage is what an identifier of a kind uses, bytes and inodes: 0 where it has no record.
func (w *world) usage(r journal.Reader, kind Kind, id uint32) (bytes, inodes uint64, err error) {
	files, err := w.q.files(r)
	if err != nil {
		return 0, 0, err
	}
	f, err := w.q.open(r, files[kind], kind)
	if err != nil {
		return 0, 0, err
	}
	e, _, err := f.find(r, id)
	if err != nil || e == nil {
		return 0, 0, err
	}
	return e.Space(), e.Inodes(), nil
}
