package dir_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// mkfolded makes a casefolded directory.
func (w *world) mkfolded(t *testing.T) layout.Ino {
	t.Helper()
	d := w.mkdir(t, layout.RootIno, "d")
	w.Must(t, func(h *journal.Handle) error {
		in, err := w.Inodes.Edit(h, d)
		if err == nil {
			in.SetFlags(in.Flags() | layout.FlagCasefold)
		}
		return err
	})
	return d
}

// TestCasefold grows a casefolded directory and finds names in other cases and other forms. e2fsck checks the hashes.
func TestCasefold(t *testing.T) {
	for _, k := range []struct {
		name   string
		args   []string
		strict bool
	}{
		{"utf8", []string{"-b", "1024", "-O", "casefold", "-E", "encoding=utf8"}, false},
		{"strict", []string{"-b", "1024", "-O", "casefold", "-E", "encoding=utf8,encoding_flags=strict"}, true},
		{"inline", []string{"-b", "1024", "-O", "casefold,inline_data", "-E", "encoding=utf8"}, false},
	} {
		t.Run(k.name, func(t *testing.T) {
			w := newWorld(t, stack.Mke2fs(t, "16M", k.args...))
			d := w.mkfolded(t)
			files := w.mkfiles(t, 1)
			add := func(name string) error {
				return w.Do(t, func(h *journal.Handle) error { return w.Dirs.Add(h, d, name, files[0], layout.FTRegular) })
			}
			names := map[string]layout.Ino{}
			want := []string{"Straße", "A\u030angstro\u0308m", "\ud55c\uae00"}
			for i := range 500 {
				want = append(want, fmt.Sprintf("Éntry-%d-%s", i, strings.Repeat("Xy", i%60)))
			}
			for i, name := range want {
				if err := add(name); err != nil {
					t.Fatal(err)
				}
				names[name] = files[0]
				if i == 3 || i == 400 {
					for _, other := range []string{"STRASSE", "ÅNGSTRÖM", "\u1112\u1161\u11ab\u1100\u1173\u11af", "E\u0301NTRY-0-"} {
						if err := add(other); !errors.Is(err, fs.ErrExist) {
							t.Errorf("add %q: %v", other, err)
						}
					}
				}
			}
			if err := add("\xff\xfe"); errors.Is(err, fs.ErrInvalid) != k.strict {
				t.Errorf("add a name that is not UTF-8: %v", err)
			} else if err == nil {
				names["\xff\xfe"] = files[0]
			}
			w.View(func(r journal.Reader) {
				for i, name := range want[3:] {
					other := fmt.Sprintf("E\u0301NTRY-%d-%s", i, strings.Repeat("xY", i%60))
					if ino, _, err := w.Dirs.Lookup(r, d, other); err != nil || ino != files[0] {
						t.Fatalf("lookup %q, stored as %q: %v", other, name, err)
					}
				}
			})
			w.links(t, files, names)
			judge.Fsck(t, w.Save(t))
			w.Open(t)
			w.removeAll(t, d, names)
			w.setLinks(t, files, nil)
			judge.Fsck(t, w.Save(t))
		})
	}
}

// TestCasefoldElsewhere finds and removes a name that is not where its hash belongs. A kernel that did not ignore the
// soft hyphen leaves such names. If the file system says that there are none, they are not looked for.
func TestCasefoldElsewhere(t *testing.T) {
	for _, newest := range []bool{false, true} {
		path := judge.Mke2fs(t, "16M", "-b", "1024", "-O", "casefold,^metadata_csum", "-E", "encoding=utf8")
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if newest {
			binary.LittleEndian.PutUint16(p[1024+0x27E:], layout.EncodingNewest) // s_encoding_flags
		}
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, judge.Load(t, path))
		d := w.mkfolded(t)
		files := w.mkfiles(t, 1)
		for i := range 300 {
			w.Must(t, func(h *journal.Handle) error {
				return w.Dirs.Add(h, d, fmt.Sprintf("Éntry-%d-%s", i, strings.Repeat("x", 40)), files[0], layout.FTRegular)
			})
		}
		path = w.Save(t)
		if p, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range 20 {
			stored, other := fmt.Sprintf("Éntry-%d-x", i), fmt.Sprintf("\u00adntry-%d-x", i)
			p = bytes.ReplaceAll(p, []byte(stored), []byte(other))
			names = append(names, other+strings.Repeat("x", 39))
		}
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, judge.Load(t, path))
		found := 0
		for _, name := range names {
			err := w.Do(t, func(h *journal.Handle) error {
				_, err := w.Dirs.Remove(h, d, name)
				return err
			})
			switch {
			case err == nil:
				found++
			case !errors.Is(err, fs.ErrNotExist):
				t.Fatal(err)
			}
		}
		if want := len(names); !newest && found != want || newest && found == want {
			t.Errorf("newest %v: %d of %d names found", newest, found, want)
		}
	}
}
