package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"ext4img/aio"
)

// TestUnusedHint reads images whose descriptors wrongly call parts of the inode table unused: everything can be read, as
// the kernel and debugfs read it. What would change such an image is refused, or does it no new harm.
func TestUnusedHint(t *testing.T) {
	const per = 2048
	for _, opts := range [][]string{{"-O", "metadata_csum"}, {"-O", "^metadata_csum,uninit_bg"}} {
		for _, hint := range []string{
			fmt.Sprint("itable_unused ", per), fmt.Sprint("itable_unused ", per-1), fmt.Sprint("itable_unused ", per-2),
			fmt.Sprint("itable_unused ", per-8), fmt.Sprint("itable_unused ", per-11), fmt.Sprint("itable_unused ", per-12),
			fmt.Sprint("itable_unused ", per+1), "itable_unused 65535", "flags 1", "flags 5", "flags 7",
		} {
			for _, dirty := range []bool{false, true} {
				t.Run(fmt.Sprint(opts[1], "/", hint, "/", dirty), func(t *testing.T) {
					img, content := twoFiles(t, append([]string{"-t", "ext4", "-b", "1024"}, opts...)...)
					change(t, img, "set_bg 0 "+hint, "set_bg 0 checksum calc")
					if dirty {
						change(t, img, "feature needs_recovery")
					}
					unusedHint(t, img, content)
				})
			}
		}
	}
}

func unusedHint(t *testing.T, img string, content []byte) {
	t.Helper()
	sum := fileHash(t, img)
	fs, dev := openImage(t, img, Options{ReadOnly: true})
	for _, name := range []string{"/f", "/other"} {
		if p, err := fs.readFile(name); err != nil || !bytes.Equal(p, content) {
			t.Errorf("%s: %d bytes: %v", name, len(p), err)
		}
	}
	if list, err := fs.ReadDir("."); err != nil || len(list) != 3 {
		t.Errorf("%d names: %v", len(list), err)
	}
	closeImage(t, fs, dev)
	if fileHash(t, img) != sum {
		t.Error("reading has changed the image")
	}
	before := complaints(t, img)
	dev, err := aio.Open(img, aio.Options{Write: true})
	must(t, err)
	if fs, err = Open(dev, Options{}); err == nil {
		for _, err := range []error{fs.Mkdir("/d", Attr{Perm: 0o755}), fs.Remove("/f")} {
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		}
		must(t, fs.Close())
	} else if !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	must(t, dev.Close())
	for _, s := range complaints(t, img) {
		if !slices.Contains(before, s) {
			t.Errorf("e2fsck says now: %s", s)
		}
	}
	if got := debugfs(t, img, "cat /other"); got != string(content) {
		t.Errorf("/other: %d bytes", len(got))
	}
}
