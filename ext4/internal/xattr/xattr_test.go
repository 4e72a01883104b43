package xattr_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/stack"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// kinds are the forms that attributes can have.
var kinds = []struct {
	name string
	args []string
}{
	{"4k", []string{"-b", "4096"}},
	{"no-ext_attr", []string{"-b", "4096", "-O", "^ext_attr"}},
	{"1k", []string{"-b", "1024"}},
	{"nocsum", []string{"-b", "1024", "-O", "^metadata_csum"}},
	{"inode-128", []string{"-b", "1024", "-I", "128"}},
	{"inode-512", []string{"-b", "4096", "-I", "512"}},
	{"ext3", []string{"-b", "1024", "-O", "^extents,^metadata_csum,^64bit"}},
	{"ea_inode-1k", []string{"-b", "1024", "-O", "ea_inode"}},
	{"ea_inode-4k", []string{"-b", "4096", "-O", "ea_inode"}},
	{"ea_inode-nocsum", []string{"-b", "1024", "-O", "ea_inode,^metadata_csum"}},
	{"bigalloc", []string{"-b", "4096", "-O", "bigalloc,ea_inode", "-C", "16384"}},
}

// files are the inodes of the files f0 … f3 that every image has.
var files = []layout.Ino{12, 13, 14, 15}

// image makes a file system with four empty files.
func image(t testing.TB, args ...string) *simdev.Image {
	t.Helper()
	return stack.Mke2fs(t, "32M", append(args, "-d", judge.Tree(t, len(files)))...)
}

func (w *world) set(t bare.T, ino layout.Ino, name string, value []byte) error {
	t.Helper()
	return w.Do(t, func(h *journal.Handle) error { return w.Attrs.Set(h, ino, name, value, 0) })
}

func (w *world) remove(t bare.T, ino layout.Ino, name string) error {
	t.Helper()
	return w.Do(t, func(h *journal.Handle) error { return w.Attrs.Remove(h, ino, name) })
}

// all reads all attributes of an inode.
func (w *world) all(t bare.T, ino layout.Ino) map[string]string {
	t.Helper()
	out := map[string]string{}
	w.View(func(r journal.Reader) {
		list, err := w.Attrs.List(r, ino)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		for _, a := range list {
			v, err := w.Attrs.Get(r, ino, a.Name)
			if err != nil {
				t.Fatalf("get %s: %v", a.Name, err)
			}
			out[a.Name] = string(v)
		}
	})
	return out
}

// judge compares the attributes of all files with those they should have: by our reading, e2fsck, and the kernel.
func (w *world) judge(t *testing.T, want []map[string]string) {
	t.Helper()
	path := w.Save(t)
	judge.Fsck(t, path)
	w.Mounted(t, path, func(root string) {
		for i := range files {
			got := kernelAttrs(t, filepath.Join(root, fmt.Sprintf("f%d", i)))
			for name, v := range want[i] {
				if got[name] != v {
					t.Errorf("the kernel finds f%d %s: %d bytes, want %d", i, name, len(got[name]), len(v))
				}
			}
			if len(got) != len(want[i]) {
				t.Errorf("the kernel lists %d attributes of f%d, want %d", len(got), i, len(want[i]))
			}
		}
	})
	w.Open(t)
}

// TestRandom sets and removes attributes of all sizes at random and compares with maps.
func TestRandom(t *testing.T) {
	rounds := 300
	if effort.Long() {
		rounds = 5000
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			const seed = 7
			w := newWorld(t, image(t, k.args...))
			w.random(t, rand.New(rand.NewPCG(seed, 0)), rounds)
		})
	}
}

func (w *world) random(t *testing.T, rnd *rand.Rand, rounds int) {
	names := []string{"user.a", "user.bb", "user.\xffhigh", "trusted.t", "security.s", "user." + strings.Repeat("n", 250), "user.c", "user.d"}
	want := make([]map[string]string, len(files))
	for i := range want {
		want[i] = map[string]string{}
	}
	full := 0
	for range rounds {
		i := rnd.IntN(len(files))
		name := names[rnd.IntN(len(names))]
		if rnd.IntN(3) == 0 {
			err := w.remove(t, files[i], name)
			if _, ok := want[i][name]; ok != (err == nil) || err != nil && !errors.Is(err, xattr.ErrNoData) {
				t.Fatalf("remove %s: %v, it is there: %v", name, err, ok)
			}
			delete(want[i], name)
			continue
		}
		v := make([]byte, []int{0, 1, 4, 30, 100, 500, 3000, 9000, 65536}[rnd.IntN(9)])
		for j := range v {
			v[j] = byte(rnd.IntN(2) * len(v)) // few values, so that values repeat
			if rnd.IntN(4) > 0 {
				v[j] = 'x'
			}
		}
		if rnd.IntN(2) == 0 {
			v = bytes.Repeat([]byte("same"), len(v)/4)
		}
		switch err := w.set(t, files[i], name, v); {
		case errors.Is(err, syscall.ENOSPC):
			full++
		case err != nil:
			t.Fatalf("set %s to %d bytes: %v", name, len(v), err)
		default:
			want[i][name] = string(v)
		}
	}
	for i, ino := range files {
		if got := w.all(t, ino); len(got) != len(want[i]) {
			t.Fatalf("f%d has %d attributes, want %d", i, len(got), len(want[i]))
		} else {
			for name, v := range want[i] {
				if got[name] != v {
					t.Fatalf("f%d %s: %d bytes, want %d", i, name, len(got[name]), len(v))
				}
			}
		}
	}
	t.Logf("%d changes, %d without room", rounds, full)
	w.judge(t, want)
	for i, ino := range files {
		for done := false; !done; {
			w.Must(t, func(h *journal.Handle) (err error) {
				done, err = w.Attrs.FreeAll(h, ino)
				return err
			})
		}
		want[i] = map[string]string{}
	}
	w.judge(t, want)
}

// TestSharing gives many files the same attributes: they share one block, which counts them.
func TestSharing(t *testing.T) {
	w := newWorld(t, image(t, "-b", "1024"))
	v := bytes.Repeat([]byte("v"), 500)
	acl := func(i int) (p layout.Pblk) {
		w.View(func(r journal.Reader) {
			in, err := w.Inodes.Read(r, files[i])
			if err != nil {
				t.Fatal(err)
			}
			p = in.FileACL()
		})
		return p
	}
	want := make([]map[string]string, len(files))
	for i, ino := range files {
		if err := w.set(t, ino, "user.v", v); err != nil {
			t.Fatal(err)
		}
		want[i] = map[string]string{"user.v": string(v)}
		if acl(i) == 0 || acl(i) != acl(0) {
			t.Fatalf("f%d has block %d, f0 has %d", i, acl(i), acl(0))
		}
	}
	w.judge(t, want)
	if err := w.set(t, files[1], "user.w", bytes.Repeat([]byte("w"), 200)); err != nil {
		t.Fatal(err)
	}
	want[1]["user.w"] = strings.Repeat("w", 200)
	if acl(1) == acl(0) {
		t.Fatal("a shared block was changed")
	}
	w.judge(t, want)
	if err := w.remove(t, files[1], "user.w"); err != nil {
		t.Fatal(err)
	}
	delete(want[1], "user.w")
	if err := w.remove(t, files[0], "user.v"); err != nil {
		t.Fatal(err)
	}
	delete(want[0], "user.v")
	w.judge(t, want)
}

// TestSharedValues gives two files one large value: one inode, two references.
func TestSharedValues(t *testing.T) {
	w := newWorld(t, image(t, "-b", "1024", "-O", "ea_inode"))
	v := bytes.Repeat([]byte("value "), 5000)
	want := make([]map[string]string, len(files))
	for i := range want {
		want[i] = map[string]string{"user.large": string(v)}
		if err := w.set(t, files[i], "user.large", v); err != nil {
			t.Fatal(err)
		}
	}
	w.judge(t, want)
	if err := w.set(t, files[0], "user.large", []byte("small")); err != nil {
		t.Fatal(err)
	}
	want[0]["user.large"] = "small"
	w.judge(t, want)
	for i := range files {
		if err := w.remove(t, files[i], "user.large"); err != nil {
			t.Fatal(err)
		}
		delete(want[i], "user.large")
	}
	w.judge(t, want)
}

// TestErrors checks the rules for names, flags and values.
func TestErrors(t *testing.T) {
	w := newWorld(t, image(t, "-b", "1024"))
	for _, c := range []struct {
		name  string
		value int
		flags int
		want  error
	}{
		{"user.a", 1, xattr.Replace, xattr.ErrNoData},
		{"user.a", 1, xattr.Create, nil},
		{"user.a", 1, xattr.Create, syscall.EEXIST},
		{"user.a", 2, xattr.Replace, nil},
		{"user.", 1, 0, syscall.EOPNOTSUPP},
		{"nothing", 1, 0, syscall.EOPNOTSUPP},
		{"system.data", 1, 0, syscall.EOPNOTSUPP},
		{"user." + strings.Repeat("x", 251), 1, 0, syscall.ERANGE},
		{"user.a\x00b", 1, 0, syscall.EINVAL},
		{"user.big", 65537, 0, syscall.E2BIG},
		{"user.big", 2000, 0, syscall.ENOSPC},
		{"system.posix_acl_access", 5, 0, syscall.EINVAL},
	} {
		err := w.Do(t, func(h *journal.Handle) error {
			return w.Attrs.Set(h, files[0], c.name, make([]byte, c.value), c.flags)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("set %q, %d bytes, flags %d: %v, want %v", c.name, c.value, c.flags, err, c.want)
		}
	}
	if err := w.remove(t, files[0], "user.none"); !errors.Is(err, xattr.ErrNoData) {
		t.Errorf("remove: %v", err)
	}
	w.judge(t, []map[string]string{{"user.a": "\x00\x00"}, {}, {}, {}})
}

// TestACL stores ACLs in Linux's form, and the kernel returns them.
func TestACL(t *testing.T) {
	acl := []byte{2, 0, 0, 0,
		1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, // user::rw-
		2, 0, 4, 0, 0xe8, 3, 0, 0, // user:1000:r--
		4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, // group::r--
		0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, // mask::r--
		0x20, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, // other::r--
	}
	w := newWorld(t, image(t, "-b", "4096"))
	const name = "system.posix_acl_access"
	if err := w.set(t, files[2], name, acl); err != nil {
		t.Fatal(err)
	}
	if got := w.all(t, files[2])[name]; got != string(acl) {
		t.Errorf("ACL came back as %x", got)
	}
	w.judge(t, []map[string]string{{}, {}, {name: string(acl)}, {}})
}

// TestDebugfs reads attributes that debugfs wrote, and debugfs reads ours.
func TestDebugfs(t *testing.T) {
	w := newWorld(t, image(t, "-b", "1024"))
	path := w.Save(t)
	values := map[string]string{"user.one": "1", "user.two": strings.Repeat("2", 300), "trusted.three": "three"}
	for name, v := range values {
		judge.Run(t, "debugfs", "-w", "-R", fmt.Sprintf("ea_set /f0 %s %s", name, v), path)
	}
	w = newWorld(t, judge.Load(t, path))
	got := w.all(t, files[0])
	for name, v := range values {
		if got[name] != v {
			t.Errorf("%s: %q, want %q", name, got[name], v)
		}
	}
	if err := w.set(t, files[1], "user.ours", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if out := judge.Debugfs(t, w.Save(t), "ea_get /f1 user.ours"); !strings.Contains(out, "hello") {
		t.Errorf("debugfs ea_get: %q", out)
	}
}

// TestInline keeps the tail of an inline file through changes of attributes.
func TestInline(t *testing.T) {
	w := newWorld(t, image(t, "-b", "4096", "-O", "inline_data"))
	ino := files[0]
	var room int
	w.View(func(r journal.Reader) {
		var err error
		if room, err = w.Attrs.InlineRoom(r, ino); err != nil {
			t.Fatal(err)
		}
	})
	for _, n := range []int{0, 1, room, 7} {
		w.Must(t, func(h *journal.Handle) error { return w.Attrs.SetInline(h, ino, bytes.Repeat([]byte("i"), n)) })
		w.View(func(r journal.Reader) {
			if p, err := w.Attrs.Inline(r, ino); err != nil || len(p) != n {
				t.Fatalf("inline: %d bytes, %v; want %d", len(p), err, n)
			}
		})
	}
	err := w.Do(t, func(h *journal.Handle) error { return w.Attrs.SetInline(h, ino, make([]byte, room+1)) })
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes inline: %v", room+1, err)
	}
	if got := w.all(t, ino); len(got) != 0 {
		t.Errorf("listed: %v", got)
	}
	w.Must(t, func(h *journal.Handle) error { return w.Attrs.DropInline(h, ino) })
	w.View(func(r journal.Reader) {
		if p, err := w.Attrs.Inline(r, ino); err != nil || len(p) != 0 {
			t.Fatalf("inline after it was dropped: %d bytes, %v", len(p), err)
		}
	})
	w.Must(t, func(h *journal.Handle) error { return w.Attrs.SetInline(h, ino, nil) }) // the inode is still inline
	w.judge(t, []map[string]string{{}, {}, {}, {}})
}

// TestAfterKernel changes attributes that the kernel stored, and lets the kernel change ours.
func TestAfterKernel(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			if err := image(t, k.args...).Save(path); err != nil {
				t.Fatal(err)
			}
			want := make([]map[string]string, len(files))
			sizes := []int{0, 10, 90, 400}
			if strings.HasPrefix(k.name, "ea_inode") {
				sizes = append(sizes, 5000, 30000)
			}
			judge.Mount(t, path, "", func(root string) {
				for i := range files {
					want[i] = map[string]string{}
					for j, n := range sizes {
						name, v := fmt.Sprintf("user.\xe9kernel%d", j), strings.Repeat("k", n)
						kernelSet(t, filepath.Join(root, fmt.Sprintf("f%d", i)), name, v)
						want[i][name] = v
					}
				}
			})
			w := newWorld(t, judge.Load(t, path))
			for i, ino := range files {
				if got := w.all(t, ino); !maps.Equal(got, want[i]) {
					t.Fatalf("f%d has %d attributes, the kernel set %d", i, len(got), len(want[i]))
				}
			}
			last := fmt.Sprintf("user.\xe9kernel%d", len(sizes)-1)
			for i, ino := range files[:3] {
				if err := w.set(t, ino, "user.ours", []byte("ours")); err != nil {
					t.Fatal(err)
				}
				want[i]["user.ours"] = "ours"
				if err := w.remove(t, ino, last); err != nil {
					t.Fatal(err)
				}
				delete(want[i], last)
			}
			w.judge(t, want)
			path = w.Save(t)
			judge.Mount(t, path, "", func(root string) {
				for i := range files {
					for name := range want[i] {
						kernelRemove(t, filepath.Join(root, fmt.Sprintf("f%d", i)), name)
					}
				}
			})
			judge.Fsck(t, path)
		})
	}
}
