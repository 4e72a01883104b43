package ext4

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// TestDirtyImages recovers what crashed kernels left behind: in memory and on the device, and every path must be as the
// kernel shows it after its own recovery.
func TestDirtyImages(t *testing.T) {
	if testing.Short() {
		t.Skip("long: reads some 30,000 files several times over")
	}
	imgs, err := filepath.Glob(filepath.Join(oracles(t, "dirty"), "*.img.zst"))
	if err != nil || len(imgs) == 0 {
		t.Fatalf("%d images: %v", len(imgs), err)
	}
	for _, packed := range imgs {
		name := strings.TrimSuffix(filepath.Base(packed), ".img.zst")
		t.Run(name, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "img")
			if out, err := judge.Command(t, "zstd", "-q", "-d", "--sparse", packed, "-o", img).CombinedOutput(); err != nil {
				t.Skipf("judge missing: zstd (%v: %s)", err, out)
			}
			manifest := strings.TrimSuffix(packed, ".img.zst") + ".manifest.gz"
			before := fileHash(t, img)
			fs, dev := openImage(t, img, Options{ReadOnly: true})
			compareManifest(t, fs, manifest)
			closeImage(t, fs, dev)
			if fileHash(t, img) != before {
				t.Error("reading a dirty image changed it")
			}
			fs, dev = openImage(t, img, Options{})
			compareManifest(t, fs, manifest)
			closeImage(t, fs, dev)
			fsckClean(t, img)
		})
	}
}

func fileHash(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// compareManifest compares every path with what a manifest says of it.
func compareManifest(t *testing.T, fs *FS, manifest string) {
	t.Helper()
	z, err := os.Open(manifest)
	must(t, err)
	defer z.Close()
	r, err := gzip.NewReader(z)
	must(t, err)
	seen, bad := 0, 0
	for s := bufio.NewScanner(r); s.Scan(); {
		w := strings.Split(s.Text(), "\t")
		seen++
		if got := manifestLine(fs, w); got != s.Text() {
			if bad++; bad < 10 {
				t.Errorf("got  %.300q\nwant %.300q", got, s.Text())
			}
		}
	}
	if bad > 0 || seen == 0 {
		t.Errorf("%d of %d paths differ", bad, seen)
	}
}

// manifestLine is what a line of a manifest should be: path, type, size, links, mode and the text of a link; or the
// SHA-256 of a file, two spaces and its path.
func manifestLine(fs *FS, want []string) string {
	if _, name, ok := strings.Cut(want[0], "  ./"); ok && len(want) == 1 {
		p, err := fs.readFile("/" + name)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%x  ./%s", sha256.Sum256(p), name)
	}
	info, err := fs.Lstat("/" + want[0])
	if err != nil {
		return err.Error()
	}
	s := info.Sys().(*Stat)
	types := map[uint16]string{layout.ModeRegular: "f", layout.ModeDir: "d", layout.ModeSymlink: "l", layout.ModeCharDev: "c",
		layout.ModeBlockDev: "b", layout.ModeFIFO: "p", layout.ModeSocket: "s"}
	target := ""
	if info.Mode().Type() == iofs.ModeSymlink {
		if target, err = fs.Readlink("/" + want[0]); err != nil {
			return err.Error()
		}
	}
	return strings.Join([]string{want[0], types[s.Mode&layout.ModeTypeMask], strconv.FormatInt(s.Size, 10),
		strconv.Itoa(int(s.Links)), fmt.Sprintf("%o", s.Mode&0o7777), target}, "\t")
}
