package judge

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Oracles is a folder of images and recorded results that other programs made: below $EXT4IMG_ORACLES or, if that is
// not set, below ../shared/oracles beside the project.
func Oracles(t testing.TB, sub string) string {
	t.Helper()
	dir := os.Getenv("EXT4IMG_ORACLES")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared", "oracles")
	}
	dir = filepath.Join(dir, sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("judge missing: oracles")
	}
	return dir
}

// root is the folder of go.mod: tests run in the folder of their package.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

// Unpack writes the content of a gzip file to a new, sparse file and returns its path.
func Unpack(t testing.TB, src string) string {
	t.Helper()
	in, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := copySparse(out, z); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// copySparse copies and leaves holes for blocks of zeros.
func copySparse(out *os.File, in io.Reader) error {
	p, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, p)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		if !bytes.Equal(p[:n], zeros[:n]) {
			if _, err := out.WriteAt(p[:n], at); err != nil {
				return err
			}
		}
		if at += int64(n); err != nil {
			return out.Truncate(at)
		}
	}
}
