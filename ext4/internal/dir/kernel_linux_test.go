package dir_test

import (
	"os"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
)

// kernelNames lists and looks up every name through the kernel.
func kernelNames(t *testing.T, path string, names map[string]layout.Ino) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := f.Readdirnames(-1)
	if err != nil || len(list) != len(names) {
		t.Fatalf("the kernel lists %d names, want %d: %v", len(list), len(names), err)
	}
	for _, name := range list {
		if names[name] == 0 {
			t.Fatalf("the kernel lists %q", name)
		}
	}
	for name, ino := range names {
		var st syscall.Stat_t
		if err := syscall.Lstat(path+"/"+name, &st); err != nil || st.Ino != uint64(ino) {
			t.Fatalf("the kernel finds %q: inode %d, want %d: %v", name, st.Ino, ino, err)
		}
	}
}
