// Package judge gives tests the programs outside this project that judge images: mke2fs, e2fsck, debugfs, the
// kernel's own mount, and folders of recorded results. It owns no bytes: images are files in the test's folder.
//
//	path := judge.Mke2fs(t, "16M", "-b", "1024")
//	dev := simdev.FromImage(judge.Load(t, path))
//	…
//	judge.Fsck(t, judge.Save(t, dev))
//
// If a judge is missing, the test is skipped with the words "judge missing: NAME", which scripts/dev lists.
package judge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
)

// Need skips the test if one of the programs is missing.
func Need(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("judge missing: " + name)
		}
	}
}

// Run runs a program that must succeed, and returns its whole output.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	Need(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, last(out, 3000))
	}
	return string(out)
}

func last(out []byte, n int) []byte { return out[max(0, len(out)-n):] }

// Mke2fs makes a file system in a sparse file and returns its path. It is ext4 unless the options say "-t".
func Mke2fs(t testing.TB, size string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	args := []string{"-q", "-F"}
	if !slices.Contains(options, "-t") {
		args = append(args, "-t", "ext4")
	}
	Run(t, "mke2fs", append(append(args, options...), path, size)...)
	return path
}

// Image is Mke2fs for an image in memory.
func Image(t testing.TB, size string, options ...string) *simdev.Image {
	t.Helper()
	return Load(t, Mke2fs(t, size, options...))
}

// FirstFile is the inode of the file f0 of Tree, the first one after lost+found.
const FirstFile = 12

// Tree makes a folder with n empty files f0, f1, …, for the option -d of mke2fs.
func Tree(t testing.TB, n int) string {
	t.Helper()
	tree := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprintf("f%d", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// Fsck runs e2fsck on a file. The test fails if e2fsck finds an error.
func Fsck(t testing.TB, path string) {
	t.Helper()
	Run(t, "e2fsck", "-fn", path)
}

// Debugfs sends one request to debugfs and returns its standard output. With the option "-c" it also opens images
// whose bitmaps are damaged.
func Debugfs(t testing.TB, path, request string, options ...string) string {
	t.Helper()
	Need(t, "debugfs")
	out, err := exec.Command("debugfs", append(options, "-R", request, path)...).Output()
	if err != nil {
		t.Fatalf("debugfs %s: %v", request, err)
	}
	return string(out)
}

// Ask sends many requests, one per line, to debugfs with no image open, and returns its answers.
func Ask(t testing.TB, requests string) string {
	t.Helper()
	Need(t, "debugfs")
	cmd := exec.Command("debugfs", "-f", "-")
	cmd.Stdin = strings.NewReader(requests)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("debugfs: %v", err)
	}
	return string(out)
}

// Change has debugfs change an image by a list of requests, one per line.
func Change(t testing.TB, path, requests string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "requests")
	if err := os.WriteFile(script, []byte(requests), 0o644); err != nil {
		t.Fatal(err)
	}
	Run(t, "debugfs", "-w", "-f", script, path)
}

// Save writes a device's bytes to a file and returns its path.
func Save(t testing.TB, dev *simdev.Device) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := dev.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Load reads a file into memory. If the operating system can tell data from holes, it reads only the data.
func Load(t testing.TB, path string) *simdev.Image {
	t.Helper()
	m, err := loadSparse(path)
	if err != nil {
		m, err = simdev.LoadImage(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func loadSparse(path string) (*simdev.Image, error) {
	const seekData, seekHole = 3, 4
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	dev := simdev.New(size)
	p := make([]byte, 1<<20)
	for end := int64(0); end < size; {
		at, err := f.Seek(end, seekData)
		if errors.Is(err, syscall.ENXIO) {
			break // no more data
		}
		if err != nil {
			return nil, err
		}
		if end, err = f.Seek(at, seekHole); err != nil {
			return nil, err
		}
		for ; at < end; at += int64(len(p)) {
			part := p[:min(int64(len(p)), end-at)]
			if _, err := f.ReadAt(part, at); err != nil {
				return nil, err
			}
			if _, err := dev.WriteAt(part, at); err != nil {
				return nil, err
			}
		}
	}
	return dev.Image(), nil
}
