// Package testimages holds small file systems made by mke2fs and debugfs (make.sh), compressed, for tests. index.tsv
// says how each was made and what it contains.
package testimages

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed index.tsv *.img.gz
var files embed.FS

// An Image is one line of the index.
type Image struct {
	Name string
	Made string // the command
	What string // its content
}

// All returns every image, in the order of their names.
func All(t testing.TB) []Image {
	t.Helper()
	index, err := files.ReadFile("index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var all []Image
	for lines := bufio.NewScanner(bytes.NewReader(index)); lines.Scan(); {
		column := strings.Split(lines.Text(), "\t")
		if len(column) != 3 {
			t.Fatalf("testimages/index.tsv: %q: want 3 columns", lines.Text())
		}
		all = append(all, Image{column[0], column[1], column[2]})
	}
	return all
}

// Bytes returns a new copy of the image's bytes.
func Bytes(t testing.TB, name string) []byte {
	t.Helper()
	p, err := Unpack(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Path writes a sparse copy of the image to a file of its own, which the test may change, and returns its path.
func Path(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".img")
	if err := writeSparse(path, Bytes(t, name)); err != nil {
		t.Fatal(err)
	}
	return path
}

// Unpack is Bytes for programs that are no tests; a name that is not in the index is an error.
func Unpack(name string) ([]byte, error) {
	f, err := files.Open(name + ".img.gz")
	if err != nil {
		return nil, fmt.Errorf("testimages: no image %q", name)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("testimages: %s: %w", name, err)
	}
	return io.ReadAll(z)
}

func writeSparse(path string, p []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(p))); err != nil {
		return err
	}
	const piece = 4096
	zero := make([]byte, piece)
	for off := 0; off < len(p); off += piece {
		block := p[off:min(off+piece, len(p))]
		if bytes.Equal(block, zero[:len(block)]) {
			continue
		}
		if _, err := f.WriteAt(block, int64(off)); err != nil {
			return err
		}
	}
	return f.Close()
}
