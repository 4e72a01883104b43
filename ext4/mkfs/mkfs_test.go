package mkfs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
)

const (
	kib = 1 << 10
	gib = 1 << 30
)

var (
	testUUID = [16]byte{0x6f, 0x1d, 0x0d, 0x1e, 0x4b, 0x5c, 0x4f, 0x6a, 0x9c, 0x0b, 1, 2, 3, 4, 5, 6}
	testSeed = [16]byte{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x81, 0x23, 1, 2, 3, 4, 5, 6}
	testTime = time.Unix(1700000000, 0)
)

// A shape is a file system as both Make and mke2fs describe it.
type shape struct {
	name string
	size int64
	o    Options
	args string // of mke2fs -t ext4
	kern bool   // the kernel's mount is asked too
}

func judge(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("judge missing: " + name)
	}
}

// fixed completes the options with what makes two runs the same.
func fixed1(o Options) Options {
	o.UUID, o.HashSeed, o.Time = testUUID, testSeed, testTime
	return o
}

// make makes a file system in memory and saves it to a file.
func (s shape) make(t *testing.T, dev *simdev.Device) string {
	t.Helper()
	if err := Make(dev, fixed1(s.o)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fs.img")
	if err := dev.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func fsck(t *testing.T, path string) {
	t.Helper()
	judge(t, "e2fsck")
	if out, err := exec.Command("e2fsck", "-fn", path).CombinedOutput(); err != nil {
		t.Errorf("e2fsck -fn: %v\n%s", err, out)
	}
}

var shapes = []shape{
	{name: "1M", size: 1 * mib},
	{name: "2M", size: 2 * mib},
	{name: "8M", size: 8 * mib},
	{name: "64M", size: 64 * mib, kern: true},
	{name: "64M-4k", size: 64 * mib, o: Options{BlockSize: 4096}, args: "-b 4096", kern: true},
	{name: "100M-2k", size: 100 * mib, o: Options{BlockSize: 2048}, args: "-b 2048", kern: true},
	{name: "511M", size: 511 * mib},
	{name: "1G", size: gib, kern: true},
	{name: "5G", size: 5*gib + 12345},
	{name: "200G", size: 200 * gib},
}

func TestMakeAgainstE2fsprogs(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) { s.compare(t) })
	}
}

// compare judges a zeroed device's file system by e2fsck, and its numbers by dumpe2fs of one by mke2fs.
func (s shape) compare(t *testing.T) {
	s.o.Zeroed = true
	path := s.make(t, simdev.New(s.size))
	fsck(t, path)
	judge(t, "mke2fs")
	other := filepath.Join(t.TempDir(), "other.img")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(other, s.size); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-F", "-q", "-t", "ext4", "-E", "lazy_journal_init=1"}, strings.Fields(s.args)...)
	mke2fs := exec.Command("mke2fs", append(args, other)...)
	mke2fs.Env = append(os.Environ(), "E2FSPROGS_LIBMAGIC_SUPPRESS=1")
	if out, err := mke2fs.CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	got, want := header(t, path), header(t, other)
	for _, line := range want {
		if !contains(got, line) {
			t.Errorf("mke2fs has %q", line)
		}
	}
	for _, line := range got {
		if !contains(want, line) {
			t.Errorf("we have %q", line)
		}
	}
	if s.kern {
		mount(t, path)
	}
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if l == line {
			return true
		}
	}
	return false
}

// header is what dumpe2fs says of the superblock, without what must differ.
func header(t *testing.T, path string) []string {
	t.Helper()
	judge(t, "dumpe2fs")
	out, err := exec.Command("dumpe2fs", "-h", path).Output()
	if err != nil {
		t.Fatalf("dumpe2fs: %v", err)
	}
	var lines []string
	for _, line := range strings.Split(string(out), "\n") {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "Filesystem UUID", "Filesystem created", "Last write time", "Last checked", "Lifetime writes", "Directory Hash Seed",
			"Checksum", "MMP update interval", "Checksum seed", "MMP block number":
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// mount has the kernel write to the file system, and e2fsck judge what it left.
func mount(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("judge missing: kernel mount (not root)")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", path, dir).CombinedOutput(); err != nil {
		if _, statErr := os.Stat("/dev/loop-control"); statErr != nil {
			t.Skip("judge missing: kernel mount (no loop devices)")
		}
		t.Fatalf("mount: %v: %s", err, out)
	}
	content := bytes.Repeat([]byte("ext4img "), 40000)
	err := os.Mkdir(filepath.Join(dir, "d"), 0o755)
	for i := 0; err == nil && i < 20; i++ {
		err = os.WriteFile(filepath.Join(dir, "d", fmt.Sprint("file", i)), content, 0o644)
	}
	if out, umountErr := exec.Command("umount", dir).CombinedOutput(); umountErr != nil {
		t.Fatalf("umount: %v: %s", umountErr, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	fsck(t, path)
}

var _ aio.Device = (*simdev.Device)(nil)
var _ = layout.RootIno
