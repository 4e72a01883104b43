package dir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// TestCasefold grows a casefolded directory and finds names in other cases and other forms. e2fsck knows the hashes.
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
			d := w.mkdir(t, layout.RootIno, "d")
			w.Must(t, func(h *journal.Handle) error {
				in, err := w.Inodes.Edit(h, d)
				if err == nil {
					in.SetFlags(in.Flags() | layout.FlagCasefold)
				}
				return err
			})
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
