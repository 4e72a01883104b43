package aio_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ext4img/aio"
)

// TestOpenErrorForm: whatever keeps a file from being opened, the error is an *fs.PathError with the path as it was given, which
// stands in the text once.
func TestOpenErrorForm(t *testing.T) {
	dir := t.TempDir()
	image, long := filepath.Join(dir, "image"), filepath.Join(dir, strings.Repeat("n", 300))
	if err := os.WriteFile(image, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Skipf("symbolic links: %v", err)
	}
	dev, err := aio.Open(image, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	paths := map[string]error{
		filepath.Join(dir, "missing"): fs.ErrNotExist, filepath.Join(image, "below"): nil, long: nil, filepath.Join(dir, "loop"): nil,
		image: aio.ErrInUse,
	}
	if runtime.GOOS == "linux" {
		paths[dir], paths[os.DevNull] = nil, nil
	}
	for path, want := range paths {
		for _, o := range []aio.Options{{}, {Write: true}, {Buffered: true}, {Engine: "none"}} {
			dev, err := aio.Open(path, o)
			if err == nil {
				dev.Close()
				t.Errorf("%s with %+v: opened", path, o)
				continue
			}
			pe, ok := err.(*fs.PathError)
			if !ok || pe.Path != path || pe.Op != "open" || strings.Count(err.Error(), path) != 1 || errors.As(pe.Err, new(*fs.PathError)) {
				t.Errorf("%s with %+v: %#v: %v", path, o, err, err)
			}
			if want != nil && o.Engine == "" && !errors.Is(err, want) {
				t.Errorf("%s with %+v: %v, want %v", path, o, err, want)
			}
		}
	}
}
