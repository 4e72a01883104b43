package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/judge"

	"golang.org/x/sys/unix"
)

// TestExportLikeTar has GNU tar and bsdtar extract archives of export: content and holes of sparse files, names of
// attributes with the characters that extended headers use themselves, access control lists, links, a name of 255 bytes.
func TestExportLikeTar(t *testing.T) {
	judge.Need(t, "tar", "bsdtar", "setfacl", "getfacl")
	for _, bs := range []string{"1024", "4096"} {
		src, img := t.TempDir(), newImage(t, "64M", "-b", bs)
		sparseFiles(t, src)
		attrs := []string{"user.plain", "user.k=v", "user.50%", "user.%3D", "user.=", "user.ü"}
		with := filepath.Join(src, "attributes")
		if err := os.WriteFile(with, []byte("x"), 0o640); err != nil {
			t.Fatal(err)
		}
		for i, name := range attrs {
			if err := unix.Setxattr(with, name, []byte{byte(i), '=', '\n', 0xFF}, 0); err != nil {
				t.Skipf("no attributes in %s: %v", src, err)
			}
		}
		judge.Run(t, "setfacl", "-m", "u:1234:r,g:4321:rw", with)
		long := filepath.Join(src, strings.Repeat("n", 255))
		if err := os.Link(with, long); err != nil {
			t.Fatal(err)
		}
		ok(t, "import", src, img, "/t")
		ok(t, "fallocate -l 5M", img, "/t/unwritten")
		fsck(t, img)
		archive := filepath.Join(t.TempDir(), "x.tar")
		ok(t, "export --tar", img, "/t", archive)
		if info, err := os.Stat(archive); err != nil || info.Size() > 8<<20 {
			t.Errorf("block size %s: the archive has %d bytes, holes among them: %v", bs, info.Size(), err)
		}
		for _, program := range [][]string{{"tar", "--xattrs", "--xattrs-include=*", "--acls", "-xpf"}, {"bsdtar", "--acls", "--xattrs", "-xpf"}} {
			dir := t.TempDir()
			judge.Run(t, program[0], append(program[1:], archive, "-C", dir)...)
			sameFiles(t, program[0]+" "+bs, src, dir)
			for i, name := range attrs {
				if program[0] == "bsdtar" && strings.ContainsAny(name, "=%") {
					continue // it takes what GNU tar escapes in these names as it stands
				}
				value := make([]byte, 64)
				n, err := unix.Getxattr(filepath.Join(dir, "attributes"), name, value)
				if err != nil || !bytes.Equal(value[:max(n, 0)], []byte{byte(i), '=', '\n', 0xFF}) {
					t.Errorf("%s: attribute %s: %q, %v", program[0], name, value[:max(n, 0)], err)
				}
			}
			list := judge.Run(t, "getfacl", "-n", "--absolute-names", filepath.Join(dir, "attributes"))
			for _, entry := range []string{"user:1234:r--", "group:4321:rw-", "mask::rw-"} {
				if !strings.Contains(list, entry) {
					t.Errorf("%s: no %s in\n%s", program[0], entry, list)
				}
			}
			a, errA := os.Stat(filepath.Join(dir, "attributes"))
			b, errB := os.Stat(filepath.Join(dir, filepath.Base(long)))
			if errA != nil || errB != nil || !os.SameFile(a, b) {
				t.Errorf("%s: the hard link: %v, %v", program[0], errA, errB)
			}
		}
	}
}

// sparseFiles makes files with holes in all places, one larger than what eight octal digits of a header can say.
func sparseFiles(t *testing.T, dir string) {
	t.Helper()
	for name, f := range map[string]struct {
		size int64
		data []int64 // where 5,000 bytes of data begin
	}{
		"empty": {0, nil}, "hole": {3 << 30, nil}, "begin": {1 << 30, []int64{0}}, "end": {1<<30 + 5000, []int64{1 << 30}},
		"middle": {9 << 30, []int64{8<<30 + 512}}, "several": {10<<20 + 1, []int64{0, 65536, 1 << 20, 5 << 20}},
		"odd": {123457, []int64{70001}}, "small hole": {40000, []int64{20000}},
	} {
		out, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = out.Truncate(f.size)
		}
		for i, off := range f.data {
			if err == nil {
				_, err = out.WriteAt(bytes.Repeat([]byte{byte(i + 1), 'd'}, 2500), off)
			}
		}
		if err == nil {
			err = out.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 { // more ranges than one block of a header holds
		out, err := os.OpenFile(filepath.Join(dir, "many"), os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = out.WriteAt([]byte(fmt.Sprint(i)), int64(i)*16384)
		}
		if err != nil || out.Close() != nil {
			t.Fatal(err)
		}
	}
}

// sameFiles compares the regular files of want with those of the same name in got: size, content, and that holes are holes.
func sameFiles(t *testing.T, what, want, got string) {
	t.Helper()
	list, err := os.ReadDir(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		a, b := filepath.Join(want, e.Name()), filepath.Join(got, e.Name())
		infoA, errA := os.Stat(a)
		infoB, errB := os.Stat(b)
		if errA != nil || errB != nil || infoA.Size() != infoB.Size() {
			t.Errorf("%s: %s: %v, %v", what, e.Name(), errA, errB)
			continue
		}
		if used := infoB.Sys().(*syscall.Stat_t).Blocks * 512; infoB.Size() > 64<<20 && used > 1<<20 {
			t.Errorf("%s: %s: %d bytes on disk", what, e.Name(), used)
		}
		if dataSum(t, a) != dataSum(t, b) {
			t.Errorf("%s: %s: content differs", what, e.Name())
		}
	}
}

// dataSum is a checksum of what a file has beside zeros, with its places.
func dataSum(t *testing.T, name string) (sum [32]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, buf, zero := sha256.New(), make([]byte, 4096), make([]byte, 4096)
	for off := int64(0); ; off += 4096 {
		data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		if err == nil {
			off = data / 4096 * 4096
		}
		n, err := f.ReadAt(buf, off)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			fmt.Fprintf(h, "%d %d ", off, n)
			h.Write(buf[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return [32]byte(h.Sum(nil))
}
