//go:build !386 && !arm && !mips && !mipsle

package mount_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4"
	"ext4img/ext4/mount"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"

	"golang.org/x/sys/unix"
)

// fio runs jobs of fio on a file of the mount and has it verify every block.
func fio(t *testing.T, dir string, args string) {
	t.Helper()
	size := "4M"
	if effort.Long() {
		size = "64M"
	}
	sh(t, dir, "fio --name=j --filename=file --size="+size+" --bs=4k --rw=randwrite --verify=crc32c --verify_fatal=1 --output=/dev/null "+args)
}

// TestFio has fio write and verify: each engine, direct and buffered, into preallocated files and holes, one job and four on
// one file. In the short form, other kinds of file system than the default get three of them.
func TestFio(t *testing.T) {
	judge.Need(t, "fio")
	for name, options := range images() {
		t.Run(name, func(t *testing.T) {
			path := judge.Mke2fs(t, "128M", options...)
			serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
				for i, args := range []string{
					"--ioengine=libaio --direct=1 --iodepth=32 --fallocate=none",
					"--ioengine=io_uring --direct=1 --iodepth=32 --fallocate=posix",
					"--ioengine=libaio --direct=0 --iodepth=32 --fallocate=posix",
					"--ioengine=libaio --direct=1 --iodepth=32 --fallocate=posix",
					"--ioengine=io_uring --direct=0 --iodepth=32 --fallocate=none",
					"--ioengine=psync --direct=0 --bs=1000 --fallocate=none",
					"--ioengine=mmap --fallocate=posix",
					"--ioengine=libaio --direct=1 --iodepth=8 --numjobs=4 --size=1M --offset_increment=1M --fallocate=none",
				} {
					if i > 2 && options != nil && !effort.Long() {
						break
					}
					fio(t, dir, args)
					sh(t, dir, "sha256sum file > /dev/null; rm file")
				}
				fio(t, dir, "--ioengine=libaio --direct=1 --iodepth=32 --fallocate=none")
			})
		})
	}
}

// TestOpenFiles looks at what programs expect of open files: one without a name lives on, an append goes to the end, a file cut
// while it is open, a map shared with writes and direct I/O, seeking over what is not written back.
func TestOpenFiles(t *testing.T) {
	path := judge.Mke2fs(t, "64M")
	serve(t, path, mount.Options{}, func(dir string, fs *ext4.FS) {
		name := filepath.Join(dir, "f")
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		free := freeInodes(t, fs)
		must(t, os.Remove(name))
		must2(t)(f.WriteAt(bytes.Repeat([]byte("x"), 100000), 0))
		must(t, f.Sync())
		if got := freeInodes(t, fs); got != free {
			t.Errorf("%d inodes are free while an open file has lost its name, %d before", got, free)
		}
		got := make([]byte, 100000)
		must2(t)(f.ReadAt(got, 0))
		if !bytes.Equal(got, bytes.Repeat([]byte("x"), 100000)) {
			t.Error("an open file without a name has lost its content")
		}
		must(t, f.Close())

		a, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		must(t, err)
		for range 3 {
			must2(t)(a.Write([]byte("abc")))
		}
		must(t, os.Truncate(name, 5))
		must2(t)(a.Write([]byte("d")))
		must(t, a.Close())
		if text, err := os.ReadFile(name); err != nil || string(text) != "abcabd" {
			t.Errorf("appended: %q, %v", text, err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestMapChild$", "-test.count=1")
		child.Env = append(os.Environ(), mapChild+"="+filepath.Join(dir, "map"))
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("maps: %v\n%s", err, out)
		}
		testSeek(t, filepath.Join(dir, "holes"))
	})
}

// mapChild names the file for TestMapChild.
const mapChild = "EXT4IMG_TEST_MAP"

// TestMapChild maps a file of the mount. It runs in a process of its own: a page fault keeps a thread of Go's scheduler, and
// where the server is in the same process it may wait for just that thread.
func TestMapChild(t *testing.T) {
	name := os.Getenv(mapChild)
	if name == "" {
		t.Skip("the child of TestOpenFiles")
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(1<<20))
	m, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(m)
	copy(m[8192:], "mapped")
	buf := make([]byte, 6)
	if must2(t)(f.ReadAt(buf, 8192)); string(buf) != "mapped" {
		t.Errorf("read of what was mapped: %q", buf)
	}
	d, err := os.OpenFile(name, os.O_RDWR|unix.O_DIRECT, 0)
	must(t, err)
	defer d.Close()
	piece := block.Aligned(4096, 4096)
	if must2(t)(d.ReadAt(piece, 8192)); string(piece[:6]) != "mapped" {
		t.Errorf("direct read of what was mapped: %q", piece[:6])
	}
	copy(piece, "direct")
	must2(t)(d.WriteAt(piece, 8192))
	if string(m[8192:8198]) != "direct" {
		t.Errorf("map of what was written directly: %q", m[8192:8198])
	}
	must(t, unix.Msync(m, unix.MS_SYNC))
}

func testSeek(t *testing.T, name string) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	defer f.Close()
	must2(t)(f.WriteAt(make([]byte, 4096), 1<<20))
	must(t, f.Truncate(4<<20))
	for _, c := range []struct {
		off    int64
		whence int
		want   int64
	}{{0, unix.SEEK_DATA, 1 << 20}, {0, unix.SEEK_HOLE, 0}, {1 << 20, unix.SEEK_HOLE, 1<<20 + 4096}} {
		if got, err := unix.Seek(int(f.Fd()), c.off, c.whence); err != nil || got != c.want {
			t.Errorf("seek %d from %d: %d, %v, want %d", c.whence, c.off, got, err, c.want)
		}
	}
	if _, err := unix.Seek(int(f.Fd()), 2<<20, unix.SEEK_DATA); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("seek for data behind the last: %v", err)
	}
}

func freeInodes(t *testing.T, fs *ext4.FS) uint64 {
	t.Helper()
	u, err := fs.Usage()
	must(t, err)
	return u.IFree
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must2(t *testing.T) func(int, error) {
	return func(_ int, err error) {
		t.Helper()
		must(t, err)
	}
}

// TestManyAtOnce has many goroutines create, link, rename, write and remove in the same directories.
func TestManyAtOnce(t *testing.T) {
	path := judge.Mke2fs(t, "64M", "-b", "1024")
	serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
		var wait sync.WaitGroup
		for g := range 8 {
			wait.Go(func() {
				for i := range 60 {
					name := filepath.Join(dir, string(rune('a'+(g+i)%10)))
					switch i % 6 {
					case 0:
						_ = os.WriteFile(name, make([]byte, 3000*i), 0o644)
					case 1:
						_ = os.Link(name, name+"x")
					case 2:
						_ = os.Rename(name, filepath.Join(dir, "d", string(rune('a'+i%10))))
					case 3:
						_ = os.MkdirAll(filepath.Join(dir, "d"), 0o755)
					case 4:
						_, _ = os.ReadDir(dir)
						_ = os.Truncate(name, int64(i*100))
					case 5:
						_ = os.RemoveAll(name + "x")
					}
				}
			})
		}
		wait.Wait()
	})
}

// TestDurable: what fsync has returned for is there when the device is copied as it is at that moment.
func TestDurable(t *testing.T) {
	path := judge.Mke2fs(t, "64M")
	copied := filepath.Join(t.TempDir(), "copy")
	serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
		f, err := os.Create(filepath.Join(dir, "file"))
		must(t, err)
		must2(t)(f.Write(bytes.Repeat([]byte("durable"), 5000)))
		must(t, f.Sync())
		must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
		d, err := os.Open(dir)
		must(t, err)
		must(t, d.Sync())
		must(t, d.Close())
		sh(t, dir, "cp --sparse=always "+path+" "+copied)
		must(t, f.Close())
	})
	dev, err := aio.Open(copied, aio.Options{Write: true})
	must(t, err)
	defer dev.Close()
	fs, err := ext4.Open(dev, ext4.Options{})
	must(t, err)
	if fs.Recovery() == nil {
		t.Error("the copy is clean: there was nothing to recover")
	}
	text, err := fs.ReadFile("file")
	if err != nil || !bytes.Equal(text, bytes.Repeat([]byte("durable"), 5000)) {
		t.Errorf("after recovery: %d bytes, %v", len(text), err)
	}
	if info, err := fs.Stat("/sub"); err != nil || !info.IsDir() {
		t.Errorf("after recovery: directory: %v", err)
	}
	must(t, fs.Close())
	judge.Fsck(t, copied)
}

// TestRefused: directories that cannot be mounted on.
func TestRefused(t *testing.T) {
	path := judge.Mke2fs(t, "8M")
	dev, err := aio.Open(path, aio.Options{Write: true})
	must(t, err)
	defer dev.Close()
	fs, err := ext4.Open(dev, ext4.Options{CommitInterval: time.Second})
	must(t, err)
	full := t.TempDir()
	must(t, os.WriteFile(filepath.Join(full, "f"), nil, 0o600))
	for dir, want := range map[string]error{full: syscall.ENOTEMPTY, full + "/f": syscall.ENOTDIR, full + "/none": os.ErrNotExist} {
		if _, err := mount.Serve(fs, dir, mount.Options{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", dir, err, want)
		}
	}
	must(t, fs.Close())
	judge.Fsck(t, path)
}

// TestBlocksShown: how many blocks a file has is not kept by the kernel beyond the write-back that changes it.
func TestBlocksShown(t *testing.T) {
	path := judge.Mke2fs(t, "32M", "-b", "4096")
	serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
		f, err := os.Create(filepath.Join(dir, "f"))
		must(t, err)
		defer f.Close()
		for i := range 20 {
			must2(t)(f.WriteAt(make([]byte, 4096), int64(i)*4096))
			must(t, f.Sync())
			var s unix.Stat_t
			must(t, unix.Fstat(int(f.Fd()), &s))
			if want := int64(i+1) * 8; s.Blocks != want || s.Size != int64(i+1)*4096 {
				t.Errorf("after block %d: %d blocks of 512 bytes, want %d; %d bytes", i, s.Blocks, want, s.Size)
			}
		}
	})
}
