package aio_test

import (
	"os"
	"path/filepath"
	"testing"

	"ext4img/aio"
)

// newFile makes a file of size bytes on a real disk.
func newFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, o aio.Options) aio.Device {
	t.Helper()
	dev, err := aio.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}
