package ext4

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// loopDevice attaches a file.
func loopDevice(t *testing.T, img string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("judge missing: kernel mount (needs root)")
	}
	out, err := judge.Command(t, "losetup", "-f", "--show", img).Output()
	if err != nil {
		t.Skipf("judge missing: losetup (%v)", err)
	}
	return strings.TrimSpace(string(out))
}

// TestExternalJournal recovers an image whose log a crashed kernel kept on another device, and works on with it.
func TestExternalJournal(t *testing.T) {
	for _, bs := range []string{"1024", "4096"} {
		t.Run(bs, func(t *testing.T) {
			crashed, log := externalCrash(t, bs)
			open := func(img, log string, o Options) (*FS, aio.Device, aio.Device, error) {
				dev, err := aio.Open(img, aio.Options{Write: !o.ReadOnly})
				must(t, err)
				if log != "" {
					o.Journal, err = aio.Open(log, aio.Options{Write: !o.ReadOnly})
					must(t, err)
				}
				fs, err := Open(dev, o)
				return fs, dev, o.Journal, err
			}
			for _, o := range []Options{{ReadOnly: true}, {}} {
				_, dev, _, err := open(crashed, "", o)
				if !errors.Is(err, layout.ErrUnsupported) || !strings.Contains(err.Error(), "UUID") {
					t.Errorf("without its journal: %v", err)
				}
				must(t, dev.Close())
			}
			before := fileHash(t, crashed) + fileHash(t, log)
			fs, dev, j, err := open(crashed, log, Options{ReadOnly: true})
			must(t, err)
			if n := len(ourTree(t, fs)); fs.Recovery().Transactions == 0 || n < 50 {
				t.Errorf("%d transactions, %d paths", fs.Recovery().Transactions, n)
			}
			want := ourTree(t, fs)
			must(t, errors.Join(fs.Close(), dev.Close(), j.Close()))
			if fileHash(t, crashed)+fileHash(t, log) != before {
				t.Error("reading changed the image or its journal")
			}
			fs, dev, j, err = open(crashed, log, Options{})
			must(t, err)
			compareTrees(t, "on the device", ourTree(t, fs), want)
			must(t, fs.Mkdir("/new", Attr{Perm: 0o755}))
			must(t, errors.Join(fs.Close(), dev.Close(), j.Close()))
			loop := loopDevice(t, log)
			defer judge.Command(t, "losetup", "-d", loop).Run()
			if out, err := judge.Command(t, "e2fsck", "-fn", "-j", loop, crashed).CombinedOutput(); err != nil {
				t.Errorf("e2fsck: %v: %s", err, out)
			}
		})
	}
}

// externalCrash makes an image with a journal on another device and has a kernel crash on it.
func externalCrash(t *testing.T, bs string) (img, log string) {
	t.Helper()
	dir := t.TempDir()
	img, log = filepath.Join(dir, "img"), filepath.Join(dir, "log")
	for _, f := range []string{img, log} {
		must(t, os.WriteFile(f, nil, 0o600))
	}
	must(t, errors.Join(os.Truncate(img, 64<<20), os.Truncate(log, 16<<20)))
	j := loopDevice(t, log)
	defer judge.Command(t, "losetup", "-d", j).Run()
	for _, args := range [][]string{{"-O", "journal_dev", "-b", bs, j}, {"-t", "ext4", "-b", bs, "-J", "device=" + j, img}} {
		if out, err := judge.Command(t, "mke2fs", append([]string{"-q", "-F"}, args...)...).CombinedOutput(); err != nil {
			t.Skipf("judge missing: mke2fs (%v: %s)", err, out)
		}
	}
	b := &busyKernel{rnd: rand.New(rand.NewPCG(effort.Seed(t, 0), 1)), sync: 8}
	crashed := crashedKernel(t, img, "", func(mnt string) error {
		b.root = mnt
		return b.run(300)
	})
	return crashed, copyImage(t, log)
}
