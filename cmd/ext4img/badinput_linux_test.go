package main

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/testimages/judge"

	"golang.org/x/sys/unix"
)

// TestBadInput: each fault is named, the exit status is right, and the image is unchanged to the byte.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 40<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	writes := []string{"mkdir IMG /new", "put " + big + " IMG /new", "fallocate -l 1M IMG /new", "write --from " + big + " IMG /new", "import " + dir + " IMG /new",
		"rm IMG /f", "chmod 600 IMG /f", "truncate -s 0 IMG /f", "xattr set IMG /f user.a b", "mv IMG /f /g", "journal recover IMG"}
	reads := []string{"ls IMG /", "cat IMG /f", "info IMG", "stat IMG /f", "extents IMG /f", "tree IMG", "export IMG / " + filepath.Join(dir, "out")}
	for _, c := range []struct {
		name     string
		spoil    func(t *testing.T, img string)
		commands []string
		says     []string // one of them
	}{
		{"not ext4", spoilZero, append(reads, writes...), []string{"not an ext"}},
		{"truncated", spoilShort, append(reads, writes...), []string{"truncated"}},
		{"unknown incompat", spoilSuper(func(s layout.Superblock) { s.SetFeatureIncompat(s.FeatureIncompat() | 1<<27) }), append(reads[:2:2], writes...), []string{"incompatible feature"}},
		{"unknown ro_compat", spoilSuper(func(s layout.Superblock) { s.SetFeatureROCompat(s.FeatureROCompat() | 1<<27) }), writes, []string{"reading only"}},
		{"locked", spoilLock, writes, []string{"in use", "locked"}},
		{"attached", spoilLoop, writes, []string{"in use", "loop"}},
		{"used elsewhere (mmp)", spoilMMP, writes, []string{"multi-mount protection"}},
		{"no space", nil, []string{"put " + big + " IMG /new", "fallocate -l 40M IMG /new", "write --from " + big + " IMG /new"}, []string{"no space"}},
		{"missing path", nil, []string{"cat IMG /no", "ls IMG /no/f", "stat IMG /no", "rm IMG /no", "mv IMG /no /x", "chmod 600 IMG /no", "put " + big + " IMG /no/f",
			"mkdir IMG /no/d", "get IMG /no " + filepath.Join(dir, "x"), "export IMG /no " + filepath.Join(dir, "y"), "extents IMG /no", "truncate -s 1 IMG /no/f", "xattr list IMG /no"}, []string{"does not exist"}},
		{"a directory", nil, []string{"cat IMG /d", "truncate -s 1 IMG /d", "fallocate -l 1M IMG /d", "write --from " + big + " IMG /d", "rm IMG /d", "get IMG /d " + filepath.Join(dir, "z")}, []string{"directory", "not a regular file"}},
		{"a file", nil, []string{"mkdir IMG /f/d", "cat IMG /f/g", "put " + big + " IMG /f/g"}, []string{"not a directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := []string{"-b", "4096"}
			if strings.Contains(c.name, "mmp") {
				flags = append(flags, "-O", "mmp")
			}
			img := newImage(t, "24M", flags...)
			small := filepath.Join(t.TempDir(), "small")
			if err := os.WriteFile(small, []byte("content"), 0o644); err != nil {
				t.Fatal(err)
			}
			ok(t, "put", small, img, "/f")
			ok(t, "mkdir", img, "/d")
			if c.spoil != nil {
				c.spoil(t, img)
			}
			for _, line := range c.commands {
				refused(t, img, line, c.says)
			}
			if strings.Contains(c.name, "ro_compat") {
				ok(t, "cat", img, "/f")
			}
		})
	}
}

// refused runs a command that must fail with one line that says one of says, and change no byte.
func refused(t *testing.T, img, line string, says []string) {
	t.Helper()
	before := sum(t, img)
	r := cmd(t, nil, strings.ReplaceAll(line, "IMG", img))
	found := false
	for _, s := range says {
		found = found || strings.Contains(r.err, s)
	}
	if r.status != 1 || !found || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "ext4img: ") {
		t.Errorf("%s: status %d, %q, want one of %q", line, r.status, r.err, says)
	}
	if after := sum(t, img); after != before && !strings.Contains(says[0], "no space") {
		t.Errorf("%s: the image has changed", line)
	} else if after != before {
		fsck(t, img)
		if out := ok(t, "ls", img, "/"); strings.Contains(out, "new") || strings.Contains(out, ".ext4img") {
			t.Errorf("%s: left behind: %s", line, out)
		}
	}
}

func sum(t *testing.T, name string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func spoilZero(t *testing.T, img string) {
	if err := os.WriteFile(img, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
}

func spoilShort(t *testing.T, img string) {
	if err := os.Truncate(img, 5<<20); err != nil {
		t.Fatal(err)
	}
}

// spoilSuper changes the superblock.
func spoilSuper(change func(s layout.Superblock)) func(t *testing.T, img string) {
	return func(t *testing.T, img string) {
		f, err := os.OpenFile(img, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := make(layout.Superblock, layout.SuperSize)
		_, e1 := f.ReadAt(s, layout.SuperOffset)
		change(s)
		s.Seal()
		_, e2 := f.WriteAt(s, layout.SuperOffset)
		if err := errorsOf(e1, e2); err != nil {
			t.Fatal(err)
		}
	}
}

// spoilLock holds the lock that who has the image open for writing holds.
func spoilLock(t *testing.T, img string) {
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
}

// spoilLoop attaches the image to a loop device.
func spoilLoop(t *testing.T, img string) { attach(t, img) }

// attach gives the image a loop device.
func attach(t *testing.T, img string, flags ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("judge missing: root for a loop device")
	}
	out, err := judge.Command(t, "losetup", append(flags, "--show", "-f", img)...).Output()
	if err != nil {
		t.Skipf("judge missing: losetup: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := judge.Command(t, "losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d: %v: %s", err, out)
		}
	})
	return dev
}

// spoilMMP makes the image one that another computer has mounted.
func spoilMMP(t *testing.T, img string) {
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := make(layout.Superblock, layout.SuperSize)
	if _, err := f.ReadAt(s, layout.SuperOffset); err != nil {
		t.Fatal(err)
	}
	g, err := layout.NewGeometry(s)
	if err != nil {
		t.Fatal(err)
	}
	m, at := make(layout.MMP, layout.MMPSize), int64(s.MMPBlock())*int64(g.BlockSize)
	_, e1 := f.ReadAt(m, at)
	m.SetSequence(77)
	m.SetNames("elsewhere", "sdz9")
	layout.MMPType{G: g}.Seal(m)
	_, e2 := f.WriteAt(m, at)
	if err := errorsOf(e1, e2); err != nil {
		t.Fatal(err)
	}
}

// TestSecondPartition works on the second partition of disks with a table of each kind, and on a loop device.
func TestSecondPartition(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	if err := makeTree(src); err != nil {
		t.Fatal(err)
	}
	want := listTree(t, src)
	for _, table := range []string{"dos", "gpt"} {
		t.Run(table, func(t *testing.T) {
			judge.Need(t, "sfdisk")
			disk := filepath.Join(t.TempDir(), "disk")
			if err := errorsOf(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20)); err != nil {
				t.Fatal(err)
			}
			judge.Feed(t, "label: "+table+"\nstart=2048, size=16384\nstart=20480, size=81920\n", "sfdisk", "-q", disk)
			part := newImage(t, "40M", "-b", "4096")
			copyInto(t, disk, part, 20480*512)
			workPartition(t, "--partition 2 ", disk, src, want)
			out := filepath.Join(t.TempDir(), "part")
			if b, err := os.ReadFile(disk); err != nil || os.WriteFile(out, b[20480*512:][:81920*512], 0o600) != nil {
				t.Fatal(err)
			}
			fsck(t, out)
			byKernel(t, out, want)
		})
	}
	t.Run("loop", func(t *testing.T) {
		img := newImage(t, "40M", "-b", "4096")
		dev := attach(t, img)
		workPartition(t, "", dev, src, want)
		judge.Fsck(t, dev)
	})
}

func copyInto(t *testing.T, disk, part string, off int64) {
	t.Helper()
	b, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, e1 := f.WriteAt(b, off)
	if err := errorsOf(e1, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func workPartition(t *testing.T, global, img, src, want string) {
	ok(t, global+"import", src, img, "/top")
	ok(t, global+"mkdir", img, "/moved")
	ok(t, global+"put", filepath.Join(src, "a/file"), img, "/moved/f")
	ok(t, global+"fallocate -l 2M", img, "/moved/f")
	ok(t, global+"write --offset 100000 --from", filepath.Join(src, "a/file"), img, "/moved/f")
	ok(t, global+"truncate -s 2", img, "/moved/f")
	ok(t, global+"mv", img, "/moved/f", "/moved/hard")
	ok(t, global+"touch -d 2300-02-03T04:05:06Z", img, "/moved/hard")
	for _, line := range []string{"info", "ls", "tree", "verify", "journal show", "dump super", "extents --all"} {
		ok(t, global+line, img)
	}
	out := filepath.Join(t.TempDir(), "out")
	ok(t, global+"export", img, "/top", out)
	if got := listTree(t, out); got != want {
		t.Errorf("exported:\n%s\nwant:\n%s", got, want)
	}
}
