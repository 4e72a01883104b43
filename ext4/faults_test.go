package ext4

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/testimages/judge"
)

// header is what dumpe2fs -h says, field by field.
func header(t *testing.T, img string) map[string]string {
	t.Helper()
	out, err := judge.Command(t, "dumpe2fs", "-h", img).Output()
	if err != nil {
		t.Skipf("judge missing: dumpe2fs: %v", err)
	}
	fields := make(map[string]string)
	for _, line := range strings.Split(string(out), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func wantFields(t *testing.T, img string, want map[string]string) {
	t.Helper()
	have := header(t, img)
	for name, value := range want {
		if have[name] != value {
			t.Errorf("dumpe2fs: %s: %q, want %q", name, have[name], value)
		}
	}
}

// TestErrorsRecorded has operations meet damage, and dumpe2fs read what the superblock says of it.
func TestErrorsRecorded(t *testing.T) {
	for _, opts := range [][]string{
		{"-t", "ext4", "-O", "metadata_csum"}, {"-t", "ext4", "-O", "^has_journal"}, {"-t", "ext4", "-b", "4096", "-O", "^metadata_csum"},
	} {
		t.Run(strings.Join(opts, " "), func(t *testing.T) {
			img, content := twoFiles(t, opts...)
			change(t, img, "sif /f block[4] 0")
			fs, dev := openImage(t, img, Options{ReadOnly: true})
			if _, err := fs.readFile("/f"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("read: %v", err)
			}
			closeImage(t, fs, dev)
			wantFields(t, img, map[string]string{"Filesystem state": "clean", "FS Error count": ""})
			clock := time.Unix(1_700_000_000, 0)
			fs, dev = openImage(t, img, Options{Clock: func() time.Time { return clock }})
			if err := fs.Remove("/f"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("remove: %v", err)
			}
			clock = clock.Add(time.Hour)
			if err := fs.Truncate("/f", 1); !errors.Is(err, ErrCorrupt) {
				t.Errorf("truncate: %v", err)
			}
			must(t, fs.Mkdir("/after", Attr{Perm: 0o755})) // errors=continue
			closeImage(t, fs, dev)
			wantFields(t, img, map[string]string{
				"Filesystem state": "clean with errors", "FS Error count": "2", "First error function": "Remove", "Last error function": "Truncate",
				"First error inode #": "12", "Last error inode #": "12", "First error err": "EFSCORRUPTED",
				"First error time": time.Unix(1_700_000_000, 0).Local().Format(time.ANSIC), "Last error time": clock.Local().Format(time.ANSIC),
			})
			others(t, img, content, "/next")
			if out, err := judge.Command(t, "e2fsck", "-fy", img).CombinedOutput(); err == nil {
				t.Errorf("e2fsck -fy had nothing to do: %s", out)
			}
			wantFields(t, img, map[string]string{"Filesystem state": "clean", "FS Error count": ""})
			fsckClean(t, img)
		})
	}
}

// TestErrorsOfChecksums records which block has a wrong checksum, also where a look-up has met it.
func TestErrorsOfChecksums(t *testing.T) {
	img, content := twoFiles(t, "-t", "ext4", "-b", "1024", "-O", "metadata_csum")
	fs, dev := openImage(t, img, Options{})
	must(t, fs.Mkdir("/d", Attr{Perm: 0o755}))
	writeFile(t, fs, "/d/x", content)
	closeImage(t, fs, dev)
	at := number(t, debugfs(t, img, "bmap /d 0"), "")
	patch(t, img, int64(at)*1024+500, []byte("damage"))
	for i, do := range []func(fs *FS) error{
		func(fs *FS) error { _, err := fs.ReadDir("/d"); return err },
		func(fs *FS) error { return fs.Mkdir("/d/new", Attr{}) },
		func(fs *FS) error { _, err := fs.Stat("/d/x"); return err },
	} {
		fs, dev = openImage(t, img, Options{})
		if err := do(fs); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d: %v", i, err)
		}
		closeImage(t, fs, dev)
		wantFields(t, img, map[string]string{"FS Error count": fmt.Sprint(i + 1), "Last error err": "EFSBADCRC", "Last error block #": fmt.Sprint(at)})
	}
}

// TestErrorsBehaviour obeys s_errors: after the first error no change is made, or changes go on.
func TestErrorsBehaviour(t *testing.T) {
	for behaviour, goesOn := range map[string]bool{"continue": true, "remount-ro": false, "panic": false} {
		t.Run(behaviour, func(t *testing.T) {
			img, content := twoFiles(t, "-t", "ext4", "-e", behaviour)
			change(t, img, "sif /f block[4] 0")
			fs, dev := openImage(t, img, Options{})
			f, err := fs.OpenFile("/other", os.O_RDWR, 0)
			must(t, err)
			must(t, fs.Mkdir("/before", Attr{Perm: 0o755}))
			if err := fs.Remove("/f"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("remove: %v", err)
			}
			_, write := f.WriteAt(content[:10], 0)
			for name, err := range map[string]error{
				"mkdir": fs.Mkdir("/after", Attr{Perm: 0o755}), "write": write, "chmod": fs.Chmod("/before", 0o700), "remove": fs.Remove("/before"),
				"fallocate": f.Fallocate(0, 1<<20, 4096), "truncate": f.Truncate(1 << 20), "rename": fs.Rename("/other", "/others", 0),
			} {
				if goesOn && err != nil && name != "chmod" || !goesOn && !errors.Is(err, syscall.EROFS) {
					t.Errorf("%s afterwards: %v", name, err)
				}
			}
			must(t, f.Close())
			closeImage(t, fs, dev)
			if _, _, ok := strings.Cut(debugfs(t, img, "stat /before"), "Inode: "); ok == goesOn {
				t.Errorf("what was made before is there: %t", ok)
			}
			wantFields(t, img, map[string]string{"FS Error count": "1", "Filesystem state": "clean with errors"})
			fs, dev = openImage(t, img, Options{})
			if w := fs.Warnings(); len(w) != 1 || !strings.Contains(w[0].Error(), "errors (1 seen)") {
				t.Errorf("warnings %v", w)
			}
			must(t, fs.Mkdir("/next", Attr{Perm: 0o755}))
			closeImage(t, fs, dev)
		})
	}
}
