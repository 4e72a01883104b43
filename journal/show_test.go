package journal

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// logdump prints the entries of Show in the form of "debugfs -R 'logdump -a'".
func logdump(t *testing.T, m *image) string {
	t.Helper()
	var b strings.Builder
	info, err := ReadInfo(m.dev, m.area)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "Journal starts at block %d, transaction %d\n", info.Start, info.Sequence)
	names := map[Kind]string{KindDescriptor: "descriptor block", KindCommit: "commit block", KindRevoke: "revoke table"}
	err = Show(m.dev, m.area, func(e Entry) error {
		switch e.Kind {
		case KindFast:
			return nil
		case KindEnd:
			if !e.Magic {
				fmt.Fprintf(&b, "No magic number at block %d: end of journal.\n", e.Block)
			} else {
				fmt.Fprintf(&b, "Found sequence %d (not %d) at block %d: end of journal.\n", e.Found, e.TID, e.Block)
			}
			return nil
		}
		fmt.Fprintf(&b, "Found expected sequence %d, type %d (%s) at block %d\n", e.TID, e.Kind, names[e.Kind], e.Block)
		if e.Kind == KindDescriptor {
			fmt.Fprintf(&b, "Dumping descriptor block, sequence %d, at block %d:\n", e.TID, e.Block)
		}
		if e.Kind == KindRevoke {
			fmt.Fprintf(&b, "Dumping revoke block, sequence %d, at block %d:\n", e.TID, e.Block)
		}
		for _, t := range e.Tags {
			fmt.Fprintf(&b, "  FS block %d logged at journal block %d (flags 0x%x)\n", t.Block, t.Log, t.Flags)
		}
		for _, r := range e.Revoked {
			fmt.Fprintf(&b, "  Revoke FS block %d\n", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestOracleShow compares the entries of Show with debugfs's listing, for each log.
func TestOracleShow(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("long")
	}
	dir := judge.Oracles(t, "e2fsprogs")
	fast := regexp.MustCompile(`(?s)\n\*\*\* Fast Commit Area.*`)
	for _, name := range []string{"f_jnl_32bit", "f_jnl_64bit", "j_corrupt_descr_tid", "j_corrupt_commit_csum",
		"j_corrupt_revoke_csum", "j_recover_csum2_32bit", "j_recover_csum2_64bit", "j_recover_fast_commit",
		"f_clear_orphan_file", "jdump-j_short_trans_old_csum", "jdump-j_long_revoke_trans_mcsum_64bit"} {
		t.Run(name, func(t *testing.T) {
			path := judge.Unpack(t, filepath.Join(dir, name+".img.gz"))
			want := fast.ReplaceAllString(judge.Debugfs(t, path, "logdump -a"), "")
			if got := logdump(t, loadImage(t, path, "")); got != want {
				g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
				for i := range min(len(g), len(w)) {
					if g[i] != w[i] {
						t.Fatalf("line %d: %q, want %q", i, g[i], w[i])
					}
				}
				t.Fatalf("%d lines, want %d", len(g), len(w))
			}
		})
	}
}

// TestOracleFast decodes the fast commit of a real log.
func TestOracleFast(t *testing.T) {
	path := judge.Unpack(t, filepath.Join(judge.Oracles(t, "e2fsprogs"), "j_recover_fast_commit.img.gz"))
	m := loadImage(t, path, "")
	rec, err := Recover(m.dev, m.area)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range rec.Fast {
		for _, r := range c.Records {
			s := fmt.Sprintf("%T%v", r, r)
			if i, ok := r.(FastInode); ok {
				s = fmt.Sprintf("%T %d %d bytes", r, i.Ino, len(i.Raw))
			}
			got = append(got, s)
		}
	}
	if len(got) != 13 || got[2] != `journal.FastCreate{12 14 new}` || got[3] != `journal.FastUnlink{12 13 old}` {
		t.Errorf("%d records: %s", len(got), strings.Join(got, "\n"))
	}
	if info, err := ReadInfo(m.dev, m.area); err != nil || info.Start == 0 {
		t.Errorf("before Finish: %+v, %v", info, err)
	}
	if err := rec.Finish(); err != nil {
		t.Fatal(err)
	}
	if info, err := ReadInfo(m.dev, m.area); err != nil || info.Start != 0 || info.Sequence != rec.Next {
		t.Errorf("after Finish: %+v, %v", info, err)
	}
}
