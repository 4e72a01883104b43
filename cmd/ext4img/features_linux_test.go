package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// features are the rows of what can be written. own: mkfs of this module makes it too.
var features = []struct {
	name, size string
	flags      []string // of mke2fs
	own        []string // of mkfs; nil: it does not make it
}{
	{"1k", "48M", []string{"-b", "1024"}, []string{"-b", "1024"}},
	{"2k", "48M", []string{"-b", "2048"}, []string{"-b", "2048"}},
	{"4k", "48M", []string{"-b", "4096"}, []string{"-b", "4096"}},
	{"64k", "256M", []string{"-b", "65536"}, []string{"-b", "65536"}},
	{"no 64bit", "48M", []string{"-O", "^64bit"}, []string{"-O", "^64bit"}},
	{"no flex_bg", "48M", []string{"-O", "^flex_bg"}, []string{"-O", "^flex_bg"}},
	{"meta_bg", "48M", []string{"-b", "1024", "-O", "meta_bg,^resize_inode"}, []string{"-b", "1024", "-O", "meta_bg,^resize_inode"}},
	{"sparse_super2", "48M", []string{"-b", "1024", "-O", "sparse_super2,^resize_inode"}, []string{"-b", "1024", "-O", "sparse_super2,^resize_inode"}},
	{"uninit_bg", "48M", []string{"-O", "^metadata_csum,uninit_bg"}, []string{"-O", "^metadata_csum,uninit_bg"}},
	{"no checksums", "48M", []string{"-O", "^metadata_csum,^uninit_bg"}, []string{"-O", "^metadata_csum,^uninit_bg"}},
	{"metadata_csum_seed", "48M", []string{"-O", "metadata_csum_seed"}, []string{"-O", "metadata_csum_seed"}},
	{"inode 128", "48M", []string{"-I", "128"}, []string{"-I", "128"}},
	{"inode 512", "48M", []string{"-I", "512"}, []string{"-I", "512"}},
	{"inode 1024", "48M", []string{"-I", "1024"}, []string{"-I", "1024"}},
	{"large_dir", "48M", []string{"-b", "1024", "-O", "large_dir"}, []string{"-b", "1024", "-O", "large_dir"}},
	{"ea_inode", "48M", []string{"-O", "ea_inode"}, []string{"-O", "ea_inode"}},
	{"orphan_file", "48M", []string{"-O", "orphan_file"}, []string{"-O", "orphan_file"}},
	{"inline_data", "48M", []string{"-O", "inline_data"}, []string{"-O", "inline_data"}},
	{"inline_data, inode 1024", "48M", []string{"-O", "inline_data", "-I", "1024"}, []string{"-O", "inline_data", "-I", "1024"}},
	{"bigalloc", "96M", []string{"-O", "bigalloc", "-C", "16384"}, []string{"-O", "bigalloc", "-C", "16384"}},
	{"quota", "48M", []string{"-O", "quota"}, []string{"-O", "quota"}},
	{"project", "48M", []string{"-O", "quota,project"}, []string{"-O", "quota,project"}},
	{"casefold", "48M", []string{"-O", "casefold"}, []string{"-O", "casefold"}},
	{"mmp", "48M", []string{"-O", "mmp"}, []string{"-O", "mmp"}},
	{"encrypt", "48M", []string{"-O", "encrypt"}, []string{"-O", "encrypt"}},
	{"verity", "48M", []string{"-O", "verity"}, []string{"-O", "verity"}},
	{"no journal", "48M", []string{"-O", "^has_journal"}, []string{"-O", "^has_journal"}},
	{"ext2", "48M", []string{"-I", "128", "-O", "none,filetype,sparse_super,large_file"}, []string{"-I", "128", "-t", "ext2"}},
	{"ext3", "48M", []string{"-I", "128", "-O", "none,filetype,sparse_super,large_file,has_journal,dir_index"}, []string{"-I", "128", "-t", "ext3"}},
}

// TestFeatures works on an image of each kind, made by mke2fs and by this module, and has it judged.
func TestFeatures(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	if err := makeTree(src); err != nil {
		t.Fatal(err)
	}
	want := listTree(t, src)
	for _, f := range features {
		if testing.Short() && f.name != "inline_data" {
			continue
		}
		t.Run(f.name+"/mke2fs", func(t *testing.T) {
			workFeature(t, newImage(t, f.size, f.flags...), src, want)
		})
		t.Run(f.name+"/mkfs", func(t *testing.T) {
			if f.own == nil {
				t.Skip("mkfs does not make it")
			}
			img := filepath.Join(t.TempDir(), "own.img")
			ok(t, "mkfs", append(append([]string{}, f.own...), img, f.size)...)
			fsck(t, img)
			workFeature(t, img, src, want)
		})
	}
}

func workFeature(t *testing.T, img, src, want string) {
	dir := t.TempDir()
	ok(t, "import", src, img, "/top")
	fsck(t, img)
	small, data := filepath.Join(dir, "small"), filepath.Join(dir, "data")
	content := bytes.Repeat([]byte("0123456789abcde\n"), 30000)
	many := filepath.Join(dir, "many") // directories move out of their inodes, and grow
	if err := os.Mkdir(many, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("a rather long name of a file, number %d", i)), []byte("tiny"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errorsOf(os.WriteFile(small, []byte("tiny\n"), 0o644), os.WriteFile(data, content, 0o644)); err != nil {
		t.Fatal(err)
	}
	ok(t, "import", many, img, "/d")
	ok(t, "mkdir -p", img, "/d/e")
	ok(t, "put", data, img, "/d/e/data")
	ok(t, "write --from", data, "--offset", "100000", img, "/d/e/data")
	ok(t, "put", small, img, "/d/grows")
	ok(t, "write --from", data, "--offset", "3", img, "/d/grows")
	ok(t, "truncate -s 2", img, "/d/grows")
	ok(t, "truncate -s 70000", img, "/d/e/data")
	ok(t, "ln -s", img, strings.Repeat("far/", 30), "/d/slow")
	ok(t, "ln", img, "/d/grows", "/d/e/hard")
	ok(t, "mv", img, "/d/e", "/moved")
	ok(t, "xattr set", img, "/moved/data", "user.note", strings.Repeat("v", 60))
	ok(t, "chmod 4711", img, "/moved/data")
	ok(t, "touch -d 2300-02-03T04:05:06Z", img, "/moved/hard")
	ok(t, "rm", img, "/d/a rather long name of a file, number 7")
	ok(t, "verify", img)
	fsck(t, img)
	if got := ok(t, "cat", img, "/moved/data"); got != string(content[:70000]) {
		t.Errorf("content differs: %d bytes", len(got))
	}
	if got := ok(t, "cat", img, "/d/grows"); got != "ti" {
		t.Errorf("grows: %q", got)
	}
	ok(t, "export", img, "/top", filepath.Join(dir, "out"))
	if strings.Contains(t.Name(), "inode_128") || strings.Contains(t.Name(), "/ext") { // whose inodes have whole seconds
		want = regexp.MustCompile(`\.\d{10} `).ReplaceAllString(want, ".0000000000 ")
	}
	if got := listTree(t, filepath.Join(dir, "out")); got != want {
		t.Errorf("exported:\n%s\nwant:\n%s", got, want)
	}
	byDebugfs(t, img)
	byKernel(t, img, want)
	ok(t, "rm -r", img, "/top", "/d", "/moved")
	ok(t, "verify", img)
	fsck(t, img)
}

// byDebugfs reads a file as debugfs does.
func byDebugfs(t *testing.T, img string) {
	t.Helper()
	judge.Need(t, "debugfs")
	out, err := judge.Command(t, "debugfs", "-R", "cat /d/grows", img).Output()
	if err != nil || string(out) != "ti" {
		t.Errorf("debugfs: %q, %v", out, err)
	}
}

// byKernel reads the tree through a loop mount, for root.
func byKernel(t *testing.T, img, want string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("judge missing: root for a loop mount")
		return
	}
	mnt := t.TempDir()
	if out, err := judge.MountLoop("-o", "loop,ro", img, mnt); err != nil {
		t.Logf("judge missing: a kernel that mounts this: %v: %s", err, out)
		return
	}
	got := listTree(t, filepath.Join(mnt, "top"))
	future, err := os.Stat(filepath.Join(mnt, "moved", "hard"))
	judge.Umount(t, mnt)
	if got != want {
		t.Errorf("mounted:\n%s\nwant:\n%s", got, want)
	}
	if err != nil || future.Size() != 2 || future.ModTime().UTC().Year() != 2300 && !strings.Contains(t.Name(), "128") && !strings.Contains(t.Name(), "/ext") {
		t.Errorf("times beyond 2038: %v, %v", future, err)
	}
}
