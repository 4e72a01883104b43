//go:build !386 && !arm && !mips && !mipsle

package mount_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/check"
	"ext4img/ext4/mount"
	"ext4img/testimages/judge"
)

// serve mounts an image while fn runs. Afterwards e2fsck and our own check must find no fault with it.
func serve(t *testing.T, path string, o mount.Options, fn func(dir string, fs *ext4.FS)) {
	t.Helper()
	dir, fs, end := begin(t, path, o)
	done := false
	defer func() {
		if !done {
			end(false)
		}
	}()
	fn(dir, fs)
	done = true
	end(false)
	judge.Fsck(t, path)
	verify(t, path)
}

// begin mounts an image and returns what ends the mount; failed: the journal has, so that errors are expected.
func begin(t *testing.T, path string, o mount.Options) (dir string, fs *ext4.FS, end func(failed bool)) {
	t.Helper()
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skip("judge missing: /dev/fuse")
	} else {
		f.Close()
	}
	if os.Geteuid() != 0 {
		judge.Need(t, "fusermount3")
	}
	dev, err := aio.Open(path, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	fs, err = ext4.Open(dev, ext4.Options{CommitInterval: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	o.Log = func(text string) { t.Logf("log: %s", text) }
	dir = filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := mount.Serve(fs, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, fs, func(failed bool) {
		t.Helper()
		for _, step := range []func() error{s.Unmount, s.Wait, fs.Close, dev.Close} {
			if err := step(); err != nil && !failed {
				t.Error(err)
			}
		}
	}
}

func verify(t *testing.T, path string) {
	t.Helper()
	dev, err := aio.Open(path, aio.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	r, err := check.Run(dev, check.Options{Context: context.Background()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("verify: %v", p)
	}
}

// sh runs a shell script in a directory; it must succeed.
func sh(t *testing.T, dir, script string) string {
	t.Helper()
	c := judge.Command(t, "bash", "-euo", "pipefail", "-c", script)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nof: %s", err, out, script)
	}
	return string(out)
}

// images are the kinds of file system that the tests run on: the options of mke2fs.
func images() map[string][]string {
	return map[string][]string{
		"default":  nil,
		"1k":       {"-b", "1024"},
		"bigalloc": {"-O", "bigalloc", "-C", "16384"},
		"ext3":     {"-t", "ext3"},
		"inline":   {"-O", "inline_data"},
	}
}

// TestTree makes a tree through the mount and reads it through the kernel's own mount afterwards.
func TestTree(t *testing.T) {
	for name, options := range images() {
		t.Run(name, func(t *testing.T) {
			path := judge.Mke2fs(t, "128M", options...)
			src := t.TempDir()
			sh(t, src, `
				mkdir -p a/b/c d; for i in $(seq 300); do echo "file $i" > a/b/f$i; done
				head -c 3000001 /dev/urandom > a/big; head -c 5 /dev/urandom > tiny; : > empty
				ln -s ../a/big d/link; ln -s "$(printf 'x%.0s' $(seq 200))" d/long; ln a/big d/hard
				mkfifo d/fifo; truncate -s 10M d/sparse; echo end | dd of=d/sparse bs=1 seek=7777777 conv=notrunc status=none
				chmod 4711 tiny; chmod 1777 d; touch -d '2001-02-03 04:05:06.789' a/b/f7`)
			list := `find . -mindepth 1 -name lost+found -prune -o -mindepth 1 -printf '%P %y %m %n %U:%G %l %s\n' | sed 's/^\([^ ]* d .*\) [0-9]*$/\1/' | sort; ` +
				`find . -type f -name '*' -not -path './lost+found*' | sort | xargs sha256sum; stat -c %Y.%y a/b/f7`
			want := sh(t, src, list)
			serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
				sh(t, dir, "cp -a "+src+"/. . && sync")
				if got := sh(t, dir, list); got != want {
					t.Errorf("through the mount: %s", differ(got, want))
				}
				sh(t, dir, `mkdir gone; touch gone/{1..50}; rm -r gone; mv a/b/f1 d/; mv d/f1 a/b/; ! mkdir a 2>/dev/null; ! rmdir a 2>/dev/null`)
			})
			judge.Mount(t, path, "ro", func(root string) {
				if got := sh(t, root, list); got != want {
					t.Errorf("through the kernel: %s", differ(got, want))
				}
			})
		})
	}
}

// differ shows the lines that only one of two texts has.
func differ(got, want string) string {
	var out []string
	in := func(text string) map[string]bool {
		m := map[string]bool{}
		for _, l := range strings.Split(text, "\n") {
			m[l] = true
		}
		return m
	}
	g, w := in(got), in(want)
	for l := range g {
		if !w[l] {
			out = append(out, "got  "+l)
		}
	}
	for l := range w {
		if !g[l] {
			out = append(out, "want "+l)
		}
	}
	return "\n" + strings.Join(out, "\n")
}
