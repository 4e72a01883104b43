package mkfs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/check"
	"ext4img/testimages/judge"
)

const (
	gib = 1 << 30
)

var (
	testUUID = [16]byte{0x6f, 0x1d, 0x0d, 0x1e, 0x4b, 0x5c, 0x4f, 0x6a, 0x9c, 0x0b, 1, 2, 3, 4, 5, 6}
	testSeed = [16]byte{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x81, 0x23, 1, 2, 3, 4, 5, 6}
	testTime = time.Unix(1700000000, 0)
)

// A shape is a file system, described both for Make and for mke2fs.
type shape struct {
	name string
	size int64
	o    Options
	args string // arguments of mke2fs -t ext4
	kern bool   // the kernel must mount it too
	near int    // the largest difference in free blocks and overhead
}

// pinned sets the options that would otherwise differ between two runs.
func pinned(o Options) Options {
	o.UUID, o.HashSeed, o.Time = testUUID, testSeed, testTime
	return o
}

// make makes a file system in memory and saves it to a file.
func (s shape) make(t *testing.T, dev *simdev.Device) string {
	t.Helper()
	if err := Make(dev, pinned(s.o)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir(t), "fs.img")
	if err := dev.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// dir is a folder on a file system that can hold a sparse file of that size.
func (s shape) dir(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	if s.size < 16*tib {
		return t.TempDir()
	}
	if _, err := os.Stat(memory); err != nil {
		t.Skip("judge missing: a file system for files of 16 TiB")
	}
	dir, err := os.MkdirTemp(memory, "mkfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func fsck(t *testing.T, path string) {
	t.Helper()
	judge.Fsck(t, path)
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
	{name: "1k-huge-group-count", size: 40 * gib, o: Options{BlockSize: 1024}, args: "-b 1024"},
	{name: "64k", size: 512 * mib, o: Options{BlockSize: 65536, JournalSize: 64 * mib}, args: "-b 65536 -J size=64"},
	{name: "no journal", size: 64 * mib, o: Options{Features: "^has_journal"}, args: "-O ^has_journal", kern: true},
	{name: "journal of 8 MiB", size: 64 * mib, o: Options{JournalSize: 8 * mib}, args: "-J size=8", kern: true},
	{name: "journal of 300 MiB in 1k", size: gib, o: Options{BlockSize: 1024, JournalSize: 300 * mib}, args: "-b 1024 -J size=300"},
	{name: "ext3", size: 512 * mib, o: Options{Type: "ext3", JournalSize: 80 * mib, BlockSize: 1024}, args: "-t ext3 -b 1024 -J size=80", kern: true},
	{name: "ext2", size: 64 * mib, o: Options{Type: "ext2"}, args: "-t ext2", kern: true},
	{name: "bare", size: 64 * mib, o: Options{Features: "none,filetype"}, args: "-O none,filetype", kern: true},
	{name: "bare 1k groups", size: 300 * mib, o: Options{Features: "none", BlockSize: 1024}, args: "-O none -b 1024"},
	{name: "uninit_bg", size: 256 * mib, o: Options{Features: "^metadata_csum,uninit_bg"}, args: "-O ^metadata_csum,uninit_bg", kern: true},
	{name: "no checksums", size: 256 * mib, o: Options{Features: "^metadata_csum"}, args: "-O ^metadata_csum", kern: true},
	{name: "no 64bit", size: 256 * mib, o: Options{Features: "^64bit"}, args: "-O ^64bit", kern: true},
	{name: "no flex_bg", size: 256 * mib, o: Options{Features: "^flex_bg"}, args: "-O ^flex_bg", kern: true},
	{name: "no resize_inode", size: 256 * mib, o: Options{Features: "^resize_inode"}, args: "-O ^resize_inode", kern: true},
	{name: "no sparse_super", size: 256 * mib, o: Options{Features: "^sparse_super,^resize_inode"}, args: "-O ^sparse_super,^resize_inode", kern: true},
	{name: "sparse_super2", size: 256 * mib, o: Options{Features: "sparse_super2"}, args: "-O sparse_super2", kern: true},
	{name: "meta_bg", size: 700 * mib, o: Options{Features: "meta_bg,^resize_inode", BlockSize: 1024}, args: "-O meta_bg,^resize_inode -b 1024", kern: true},
	{name: "meta_bg without flex_bg", size: 300 * mib, o: Options{Features: "meta_bg,^resize_inode,^flex_bg", BlockSize: 1024},
		args: "-O meta_bg,^resize_inode,^flex_bg -b 1024", kern: true},
	{name: "bigalloc", size: 512 * mib, o: Options{Features: "bigalloc"}, args: "-O bigalloc", kern: true},
	{name: "bigalloc 16k without resize_inode", size: 2 * gib, o: Options{Features: "bigalloc,^resize_inode", ClusterSize: 16384},
		args: "-O bigalloc,^resize_inode -C 16384", kern: true, near: 8},
	{name: "bigalloc 1k", size: 256 * mib, o: Options{Features: "bigalloc", BlockSize: 1024, ClusterSize: 8192},
		args: "-O bigalloc -b 1024 -C 8192", near: 8},
	{name: "inline_data", size: 64 * mib, o: Options{Features: "inline_data"}, args: "-O inline_data", kern: true, near: 1}, // mke2fs has the root directory inline,
	{name: "quota", size: 64 * mib, o: Options{Features: "quota"}, args: "-O quota"},
	{name: "project", size: 600 * mib, o: Options{Features: "quota,project"}, args: "-O quota,project -E quotatype=usrquota:grpquota:prjquota"},
	{name: "casefold", size: 64 * mib, o: Options{Features: "casefold"}, args: "-O casefold"},
	{name: "encrypt, verity", size: 64 * mib, o: Options{Features: "encrypt,verity,stable_inodes"}, args: "-O encrypt,verity,stable_inodes"},
	{name: "metadata_csum_seed", size: 64 * mib, o: Options{Features: "metadata_csum_seed"}, args: "-O metadata_csum_seed", kern: true},
	{name: "orphan_file", size: 64 * mib, o: Options{Features: "orphan_file"}, args: "-O orphan_file", kern: true},
	{name: "orphan_file in 4k", size: 3 * gib, o: Options{Features: "orphan_file"}, args: "-O orphan_file", kern: true},
	{name: "large_dir, ea_inode", size: 64 * mib, o: Options{Features: "large_dir,ea_inode"}, args: "-O large_dir,ea_inode", kern: true},
	{name: "mmp", size: 64 * mib, o: Options{Features: "mmp"}, args: "-O mmp", kern: true},
	{name: "inodes of 128", size: 64 * mib, o: Options{InodeSize: 128}, args: "-I 128", kern: true},
	{name: "inodes of 1024", size: 64 * mib, o: Options{InodeSize: 1024}, args: "-I 1024", kern: true},
	{name: "few inodes", size: 512 * mib, o: Options{Inodes: 13}, args: "-N 13", kern: true},
	{name: "many inodes", size: 64 * mib, o: Options{BytesPerInode: 1024}, args: "-i 1024", kern: true},
	{name: "3000 inodes", size: 300 * mib, o: Options{Inodes: 3000}, args: "-N 3000"},
	{name: "reserved, label", size: 64 * mib, o: Options{ReservedPercent: percent(1.5), Label: "a-label"}, args: "-m 1.5 -L a-label"},
	{name: "small groups", size: 64 * mib, o: Options{BlocksPerGroup: 2048, GroupsPerFlex: 4}, args: "-g 2048 -G 4", kern: true},
	{name: "stride", size: 64 * mib, o: Options{Stride: 16, Stripe: 64}, args: "-E stride=16,stripe_width=64"},
	{name: "resize", size: 64 * mib, o: Options{ResizeBlocks: 1 << 20}, args: "-E resize=1048576", kern: true},
}

func percent(p float64) *float64 { return &p }

func TestMakeAgainstE2fsprogs(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) { s.compare(t) })
	}
}

// compare has e2fsck judge a file system made on a zeroed device, and compares its numbers with those of one by
// mke2fs.
func (s shape) compare(t *testing.T) {
	s.o.Zeroed = true
	path := s.make(t, simdev.New(s.size))
	fsck(t, path)
	s.secondOpinion(t, path)
	judge.Need(t, "mke2fs")
	other := filepath.Join(s.dir(t), "other.img")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(other, s.size); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-F", "-q"}, strings.Fields(s.args)...)
	if !strings.Contains(s.args, "-t ") {
		args = append(args, "-t", "ext4")
	}
	mke2fs := judge.Command(t, "mke2fs", append(args, other)...)
	mke2fs.Env = append(os.Environ(), "E2FSPROGS_LIBMAGIC_SUPPRESS=1")
	if out, err := mke2fs.CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	got, want := header(t, path), header(t, other)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] && !s.close(key, got[key], want[key]) {
			t.Errorf("%s: %q, mke2fs has %q", key, got[key], want[key])
		}
	}
	for key, value := range got {
		if want[key] == "" && value != "" {
			t.Errorf("%s: %q, mke2fs has none", key, value)
		}
	}
	if s.kern && !testing.Short() {
		mount(t, path)
	}
}

// secondOpinion runs the project's own check, which finds more than e2fsck.
func (s shape) secondOpinion(t *testing.T, path string) {
	t.Helper()
	dev, err := aio.Open(path, aio.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	report, err := check.Run(dev, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("check: %v", p)
	}
}

// close reports whether two counts differ by no more than the shape allows.
func (s shape) close(key, got, want string) bool {
	a, errA := strconv.Atoi(got)
	b, errB := strconv.Atoi(want)
	return errA == nil && errB == nil && (key == "Free blocks" || key == "Overhead clusters") && max(a-b, b-a) <= s.near
}

// header is dumpe2fs's listing of the superblock, without the fields that must differ.
func header(t *testing.T, path string) map[string]string {
	t.Helper()
	judge.Need(t, "dumpe2fs")
	out, err := judge.Command(t, "dumpe2fs", "-h", path).Output()
	if err != nil {
		t.Fatalf("dumpe2fs: %v", err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Filesystem UUID", "Filesystem created", "Last write time", "Last checked", "Lifetime writes", "Directory Hash Seed",
			"Checksum", "Checksum seed", "MMP block number", "Journal checksum":
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(key), "mmp_") {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields
}

// mount has the kernel write to the file system, and e2fsck judge the result. No other test of the package may run at
// the same time: a child process that it starts would hold the mount's files open for a moment.
func mount(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("judge missing: kernel mount (not root)")
	}
	dir := t.TempDir()
	if out, err := judge.Command(t, "mount", "-t", "ext4", "-o", "loop", path, dir).CombinedOutput(); err != nil {
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
	if out, umountErr := judge.Command(t, "umount", dir).CombinedOutput(); umountErr != nil {
		t.Cleanup(func() { judge.Command(t, "umount", "--lazy", dir).Run() }) // before the folder is removed
		t.Fatalf("umount: %v: %s", umountErr, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	fsck(t, path)
}
