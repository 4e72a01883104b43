package ext4

import (
	"context"
	"fmt"
	"testing"
)

// TestNoErrorsOfHashedDirectories lists, changes and removes hashed directories, small and of several levels, on a sound
// image: nothing may be recorded as an error.
func TestNoErrorsOfHashedDirectories(t *testing.T) {
	for _, opts := range [][]string{{"-O", "metadata_csum"}, {"-O", "^metadata_csum"}, {"-O", "inline_data,metadata_csum", "-I", "256"}} {
		img := newImage(t, "32M", append([]string{"-t", "ext4", "-b", "1024", "-N", "4000"}, opts...)...)
		fs, dev := openImage(t, img, Options{})
		must(t, fs.Mkdir("/d", Attr{Perm: 0o755}))
		for i := range 1500 {
			f, err := fs.Create(fmt.Sprintf("/d/a-name-that-takes-some-room-%d", i), Attr{Perm: 0o644})
			must(t, err)
			must(t, f.Close())
		}
		closeImage(t, fs, dev)
		fs, dev = openImage(t, img, Options{})
		_, err := fs.ReadDir("/d")
		must(t, err)
		must(t, fs.RemoveTree(context.Background(), "/d", func(_ string, err error) error { return err }))
		closeImage(t, fs, dev)
		wantFields(t, img, map[string]string{"Filesystem state": "clean", "FS Error count": ""})
		fsckClean(t, img)
	}
}
