package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/testimages/judge"

	"golang.org/x/sys/unix"
)

// full returns what mkfs must not overwrite unasked: how it is made, and the word that names it.
func full(t *testing.T) map[string]struct {
	make func(path string) error
	word string
} {
	text := func(s string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(s), 0o600) }
	}
	at := func(off int, s string) func(string) error {
		return text(strings.Repeat("\x00", off) + s + strings.Repeat("\x00", 200000-off))
	}
	run := func(name string, args ...string) func(string) error {
		return func(path string) error {
			judge.Need(t, name)
			line := append([]string{}, args...)
			for i, a := range line {
				line[i] = strings.ReplaceAll(a, "FILE", path)
			}
			if out, err := judge.Command(t, name, line...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %v: %s", name, err, out)
			}
			return nil
		}
	}
	table := func(label string) func(string) error {
		return func(path string) error {
			disk, err := os.ReadFile(newTable(t, 512, "label: "+label+"\nsize=1M\nsize=2M\n"))
			if err != nil {
				return err
			}
			return os.WriteFile(path, disk, 0o600)
		}
	}
	zipped := func(path string) error {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, "secret"); err != nil {
			return err
		}
		return errorsOf(z.Close(), os.WriteFile(path, b.Bytes(), 0o600))
	}
	return map[string]struct {
		make func(path string) error
		word string
	}{
		"ext4":        {run("mke2fs", "-q", "-t", "ext4", "FILE", "8M"), "ext4 file system"},
		"ext2":        {run("mke2fs", "-q", "-t", "ext2", "FILE", "1M"), "ext2, ext3 or ext4"},
		"dos":         {table("dos"), "partition table (mbr"},
		"gpt":         {table("gpt"), "partition table (gpt, 2"},
		"qcow2":       {run("qemu-img", "create", "-q", "-f", "qcow2", "FILE", "16M"), "qcow2"},
		"vmdk":        {run("qemu-img", "create", "-q", "-f", "vmdk", "FILE", "16M"), "VMDK"},
		"vdi":         {run("qemu-img", "create", "-q", "-f", "vdi", "FILE", "16M"), "VDI"},
		"vhdx":        {run("qemu-img", "create", "-q", "-f", "vhdx", "FILE", "16M"), "VHDX"},
		"vhd":         {run("qemu-img", "create", "-q", "-f", "vpc", "FILE", "16M"), "VHD"},
		"tar":         {run("tar", "-cf", "FILE", "-C", "/etc", "passwd"), "tar archive"},
		"swap":        {at(4086, "SWAPSPACE2"), "swap"},
		"xfs":         {at(0, "XFSB"), "XFS"},
		"btrfs":       {at(65600, "_BHRfS_M"), "btrfs"},
		"iso":         {at(32769, "CD001"), "ISO 9660"},
		"gzip":        {zipped, "gzip"},
		"text":        {text("grocery list\n"), "text"},
		"utf-8":       {text("Größe\n"), "text"},
		"one byte":    {text("\x01"), "data"},
		"last byte":   {at(199999, "\x01"), "data"},
		"script":      {text("#!/bin/sh\n"), "script"},
		"damaged gpt": {func(p string) error { return os.WriteFile(p, hostileGPT("\xff\xff\xff\xff\xff\xff\xff\xff"), 0o600) }, "damaged partition table"},
		"far in a hole": {func(p string) error {
			f, err := os.Create(p)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{1}, 3<<30)
			return errorsOf(err, f.Truncate(5<<30), f.Close())
		}, "data"},
	}
}

// TestMkfsKeeps: what is in a file is overwritten only by force, and named; it stays as it is to the byte.
func TestMkfsKeeps(t *testing.T) {
	for name, c := range full(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before := fingerprint(t, path)
			for _, size := range []string{"", "16M"} {
				if r := cmd(t, nil, "mkfs "+path+" "+size); r.status != 1 || size != "" && (!strings.Contains(r.err, c.word) || !strings.Contains(r.err, ": --force overwrites it")) {
					t.Errorf("size %q: %+v", size, r)
				}
			}
			if after := fingerprint(t, path); after != before {
				t.Error("the file has changed")
			}
			for _, flag := range []string{"-F", "--force"} {
				ok(t, "mkfs "+flag+" "+path+" 16M")
				fsck(t, path)
			}
		})
	}
}

// fingerprint is a file's size, time, and the head of its content.
func fingerprint(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 1<<20))
	st, e := f.Stat()
	if err := errorsOf(err, e); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(st.Size(), st.ModTime(), string(head))
}

// TestMkfsEmpty: nothing, zeros and holes are overwritten without a question.
func TestMkfsEmpty(t *testing.T) {
	for name, size := range map[string]int64{"nothing": 0, "hole": 1 << 20, "large hole": 1 << 40, "zeros": -1, "odd": 1<<20 + 777} {
		path := filepath.Join(t.TempDir(), "file")
		var content []byte
		if size < 0 {
			content = make([]byte, 3<<20+5)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
		}
		ok(t, "mkfs "+path+" 8M")
		fsck(t, path)
		if name == "hole" {
			if r := cmd(t, nil, "mkfs "+path); r.status != 1 {
				t.Errorf("a second time: %+v", r)
			}
		}
	}
}

// TestMkfsKeepsPartition: in a partition and on a loop device, what is known.
func TestMkfsKeepsPartition(t *testing.T) {
	disk := newTable(t, 512, "label: gpt\nsize=20M\nsize=20M\n")
	swap := filepath.Join(t.TempDir(), "swap")
	if err := os.WriteFile(swap, []byte(strings.Repeat("\x00", 4086)+"SWAPSPACE2"), 0o600); err != nil {
		t.Fatal(err)
	}
	copyInto(t, disk, swap, 1<<20)
	if r := cmd(t, nil, "mkfs --partition 1", disk); r.status != 1 || !strings.Contains(r.err, "swap space: --force") {
		t.Errorf("swap: %+v", r)
	}
	ok(t, "mkfs --partition 2", disk)
	ok(t, "mkfs --partition 1 --force", disk)
	dev := attach(t, disk)
	if r := cmd(t, nil, "mkfs", dev); r.status != 1 || !strings.Contains(r.err, "partition table (gpt, 2 partitions): --force") {
		t.Errorf("a device with a table: %+v", r)
	}
	ok(t, "mkfs -F -L whole", dev)
	if out := ok(t, "info", dev); !strings.Contains(out, "whole") {
		t.Errorf("the table has won over the new file system: %s", out)
	}
}

// terminal is a pseudo-terminal: what the user holds, and what the program sees.
func terminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("judge missing: pseudo-terminal")
	}
	t.Cleanup(func() { user.Close() })
	n, err1 := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	err2 := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	if err := errorsOf(err1, err2); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("judge missing: pseudo-terminal")
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// TestMkfsAsks: on a terminal there is a question, and only yes is a yes.
func TestMkfsAsks(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " y \n": true, "n\n": false, "\n": false, "yess\n": false, "\x04": false} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		user, program := terminal(t)
		if _, err := user.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		status := run([]string{name, "mkfs", path, "8M"}, stdio{program, &out, program}, make(chan os.Signal))
		program.Close()
		var said strings.Builder
		_, _ = io.Copy(&said, user) // ends with an error when the other side is closed
		if !strings.Contains(said.String(), "holds text. Overwrite it? [y/N]") {
			t.Errorf("answer %q: it said %q", answer, said.String())
		}
		if (status == 0) != want {
			t.Errorf("answer %q: status %d: %q", answer, status, said.String())
		}
		if kept := fingerprint(t, path); strings.HasSuffix(kept, "precious") == want {
			t.Errorf("answer %q: the file is kept: %v", answer, !want)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := cmd(t, strings.NewReader("y\n"), "mkfs "+path+" 8M"); r.status != 1 {
		t.Errorf("an answer that no terminal gives: %+v", r)
	}
}

// TestMkfsTooSmall: a file that is too small is left as it is, and the message names its size and the smallest one, which
// will do.
func TestMkfsTooSmall(t *testing.T) {
	for _, flags := range []string{"", "-b 4096", "-N 2000", "-i 1024", "-t ext2"} {
		for _, size := range []int64{0, 500, 1024, 4096, 48 << 10, 56 << 10} {
			path := filepath.Join(t.TempDir(), "small")
			if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{"mkfs " + flags + " " + path, fmt.Sprintf("mkfs %s %s %d", flags, path, size)} {
				r := cmd(t, nil, line)
				if size == 0 && r.status == 2 {
					continue // no size at all
				}
				if r.status == 0 {
					fsck(t, path)
					continue
				}
				_, least, ok := strings.Cut(strings.TrimSpace(r.err), "at least ")
				least, _, _ = strings.Cut(least, " bytes")
				if info, err := os.Stat(path); r.status != 1 || !ok || !strings.Contains(r.err, "too small for a file system") || err != nil || info.Size() != size {
					t.Errorf("%s: %+v, size %v", line, r, info.Size())
					continue
				}
				made := cmd(t, nil, "mkfs "+flags+" "+path+"2 "+least)
				if made.status != 0 {
					t.Errorf("%s: %s bytes: %+v", line, least, made)
				}
				fsck(t, path+"2")
				_ = os.Remove(path + "2")
			}
		}
	}
}
