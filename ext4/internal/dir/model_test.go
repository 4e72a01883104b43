package dir_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"

	"pgregory.net/rapid"
)

// model is a directory and its expected content.
type model struct {
	w     *world
	d     layout.Ino
	files []layout.Ino
	names map[string]layout.Ino
}

// TestMain makes fewer runs of the models, unless EXT4IMG_LONG=1.
func TestMain(m *testing.M) {
	if !effort.Long() {
		if err := flag.Set("rapid.checks", "6"); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// TestModel changes directories at random and compares them with a map. With long names, few of them fill the small
// blocks.
func TestModel(t *testing.T) {
	for _, k := range []struct {
		name string
		args []string
	}{
		{"hashed", []string{"-b", "1024"}},
		{"linear", []string{"-b", "1024", "-O", "^dir_index,^metadata_csum"}},
		{"inline", []string{"-b", "1024", "-O", "inline_data"}},
		{"inline-1k-inodes", []string{"-b", "1024", "-O", "inline_data", "-I", "1024"}},
		{"ext2", []string{"-b", "1024", "-O", "^extents,^64bit,^has_journal,^metadata_csum,^filetype"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			image := stack.Mke2fs(t, "8M", k.args...)
			rapid.Check(t, func(rt *rapid.T) { runModel(t, rt, image) })
		})
	}
}

func runModel(t *testing.T, rt *rapid.T, image *simdev.Image) {
	w := newWorld(rt, image)
	m := &model{w: w, d: w.mkdir(rt, layout.RootIno, "d"), files: w.mkfiles(rt, 3), names: map[string]layout.Ino{}}
	rt.Repeat(map[string]func(*rapid.T){
		"add":     m.add,
		"burst":   m.burst,
		"remove":  m.remove,
		"replace": m.replace,
		"cancel":  m.cancel,
		"":        m.check,
	})
	w.links(rt, m.files, m.names)
	w.setLinks(rt, slices.DeleteFunc(slices.Clone(m.files), func(f layout.Ino) bool {
		return slices.Contains(slices.Collect(maps.Values(m.names)), f)
	}), nil)
	if err := w.J.Close(); err != nil {
		rt.Fatalf("%v", err)
	}
	path := t.TempDir() + "/image"
	if err := w.Dev.Save(path); err != nil {
		rt.Fatalf("%v", err)
	}
	defer os.Remove(path)
	judge.Fsck(t, path)
}

// name draws one of few names, so that names are drawn again.
func (m *model) name(t *rapid.T) string {
	n := rapid.SampledFrom([]int{1, 2, 9, 40, 255}).Draw(t, "length")
	which := rapid.IntRange(0, 40).Draw(t, "which")
	s := fmt.Sprintf("%0255d", which)[255-max(n, 2):]
	return s[len(s)-n:]
}

func (m *model) file(t *rapid.T) layout.Ino { return rapid.SampledFrom(m.files).Draw(t, "file") }

func (m *model) addOne(t *rapid.T, name string, ino layout.Ino) {
	err := m.w.Do(t, func(h *journal.Handle) error { return m.w.Dirs.Add(h, m.d, name, ino, layout.FTRegular) })
	switch {
	case m.names[name] != 0:
		if !errors.Is(err, fs.ErrExist) {
			t.Fatalf("add %q again: %v", name, err)
		}
	case err != nil:
		t.Fatalf("add %q: %v", name, err)
	default:
		m.names[name] = ino
	}
}

func (m *model) add(t *rapid.T) { m.addOne(t, m.name(t), m.file(t)) }

func (m *model) burst(t *rapid.T) {
	from, ino := rapid.IntRange(0, 1000).Draw(t, "from"), m.file(t)
	for i := range 20 {
		m.addOne(t, fmt.Sprintf("%0*d", 100+8*i, from+i), ino)
	}
}

// any draws a name of the directory, or any name.
func (m *model) any(t *rapid.T) string {
	if len(m.names) == 0 || rapid.IntRange(0, 9).Draw(t, "blind") == 0 {
		return m.name(t)
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.names))).Draw(t, "name")
}

func (m *model) remove(t *rapid.T) {
	name := m.any(t)
	var old layout.Ino
	err := m.w.Do(t, func(h *journal.Handle) (err error) {
		old, err = m.w.Dirs.Remove(h, m.d, name)
		return err
	})
	m.compare(t, "remove", name, old, err)
	delete(m.names, name)
}

func (m *model) replace(t *rapid.T) {
	name, ino := m.any(t), m.file(t)
	var old layout.Ino
	err := m.w.Do(t, func(h *journal.Handle) (err error) {
		old, err = m.w.Dirs.Replace(h, m.d, name, ino, layout.FTRegular)
		return err
	})
	m.compare(t, "replace", name, old, err)
	if m.names[name] != 0 {
		m.names[name] = ino
	}
}

func (m *model) compare(t *rapid.T, what, name string, old layout.Ino, err error) {
	want := m.names[name]
	if want == 0 && !errors.Is(err, fs.ErrNotExist) || want != 0 && (err != nil || old != want) {
		t.Fatalf("%s %q: inode %d, %v; want %d", what, name, old, err, want)
	}
}

// cancel makes many changes in one handle and cancels it.
func (m *model) cancel(t *rapid.T) {
	from := rapid.IntRange(0, 1000).Draw(t, "from")
	errStop := errors.New("cancel")
	err := m.w.Do(t, func(h *journal.Handle) error {
		for i := range 30 {
			err := m.w.Dirs.Add(h, m.d, fmt.Sprintf("%0*d", 100+5*i, from+i), m.files[0], layout.FTRegular)
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		return errStop
	})
	if !errors.Is(err, errStop) && !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v", err)
	}
}

func (m *model) check(t *rapid.T) {
	got := m.w.names(t, m.d)
	if !maps.Equal(got, m.names) {
		t.Fatalf("listed %d names, want %d: %v", len(got), len(m.names), diff(got, m.names))
	}
	m.w.View(func(r journal.Reader) {
		for name, want := range m.names {
			if ino, _, err := m.w.Dirs.Lookup(r, m.d, name); err != nil || ino != want {
				t.Fatalf("lookup %q: inode %d, %v; want %d", name, ino, err, want)
			}
		}
	})
}

func diff(got, want map[string]layout.Ino) (out []string) {
	for n, i := range got {
		if want[n] != i {
			out = append(out, fmt.Sprintf("%q → %d, want %d", n, i, want[n]))
		}
	}
	for n, i := range want {
		if got[n] == 0 {
			out = append(out, fmt.Sprintf("%q → nothing, want %d", n, i))
		}
	}
	return out
}
