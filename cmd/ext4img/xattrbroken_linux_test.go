package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestXattrBroken: of a file one of whose two places of attributes is broken, those in the other are listed, got and
// exported, and the broken one is named.
func TestXattrBroken(t *testing.T) {
	const block, inode = `attribute block|block \d+`, `inode 12`
	big := strings.Repeat("v", 700)
	for name, c := range map[string]struct {
		spoil []string // of debugfs; B is the block
		bad   string   // what is named
		small bool     // the attribute in the inode can be read
		big   bool     // the one in the block can be read
	}{
		"block: magic":        {[]string{"zap_block -o 0 -l 4 -p 0 B"}, block, true, false},
		"block: all zeros":    {[]string{"zap_block B"}, block, true, false},
		"block: an entry":     {[]string{"zap_block -o 32 -l 16 -p 255 B"}, block, true, false},
		"block: out of range": {[]string{"sif /f file_acl 4000000"}, `i_file_acl 4000000`, true, false},
		"inode: an entry":     {nil, inode, false, true},
		"both":                {[]string{"zap_block B"}, inode, false, false},
	} {
		img := newImage(t, "16M", "-b", "1024", "-I", "256", "-O", "^metadata_csum")
		if r := cmd(t, strings.NewReader("x"), "put -", img, "/f"); r.status != 0 {
			t.Fatal(r)
		}
		ok(t, "xattr set", img, "/f", "user.small", "one")
		ok(t, "xattr set", img, "/f", "user.big", big)
		stat, err := judge.Command(t, "debugfs", "-R", "stat /f", img).Output()
		m := regexp.MustCompile(`File ACL: (\d+)`).FindSubmatch(stat)
		if err != nil || m == nil || string(m[1]) == "0" {
			t.Fatalf("%s: %v: no attribute block: %s", name, err, stat)
		}
		for _, line := range c.spoil {
			if out, err := judge.Command(t, "debugfs", "-w", "-R", strings.ReplaceAll(line, "B", string(m[1])), img).CombinedOutput(); err != nil || strings.Contains(string(out), "sage") {
				t.Fatalf("%s: debugfs: %v: %s", line, err, out)
			}
		}
		if !c.small {
			out, err := judge.Command(t, "debugfs", "-R", "imap /f", img).Output()
			var at, off int64
			if i := strings.Index(string(out), "located at block "); err == nil && i > 0 {
				_, err = fmt.Sscanf(string(out)[i:], "located at block %d, offset 0x%x", &at, &off)
			}
			if err != nil || at == 0 {
				t.Fatalf("imap: %v: %s", err, out)
			}
			f, err := os.OpenFile(img, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte{255, 255, 255, 255}, at*1024+off+128+32+4)
			if err := errorsOf(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		r := cmd(t, nil, "xattr list", img, "/f")
		if r.status != 1 || strings.Contains(r.out, "user.small") != c.small || strings.Contains(r.out, "user.big") != c.big ||
			!regexp.MustCompile(c.bad).MatchString(r.err) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: list: %+v", name, r)
		}
		r = cmd(t, nil, "xattr list --json", img, "/f")
		if r.status != 1 || !json.Valid([]byte(r.out)) || strings.Contains(r.out, "user.small") != c.small || strings.Contains(r.out, "user.big") != c.big {
			t.Errorf("%s: list --json: %+v", name, r)
		}
		for attr, can := range map[string]bool{"user.small": c.small, "user.big": c.big, "user.none": false} {
			if r := cmd(t, nil, "xattr get", img, "/f", attr); (r.status == 0) != can || !can && !regexp.MustCompile(c.bad).MatchString(r.err) {
				t.Errorf("%s: get %s: %+v", name, attr, r)
			}
		}
		r = cmd(t, nil, "export --tar", img, "/", "-")
		if strings.Contains(r.out, "SCHILY.xattr.user.small=one") != c.small || strings.Contains(r.out, "SCHILY.xattr.user.big="+big) != c.big || r.status != 1 {
			t.Errorf("%s: export: status %d, %s", name, r.status, r.err)
		}
		if r := cmd(t, nil, "xattr set", img, "/f", "user.new", "n"); r.status != 1 {
			t.Errorf("%s: set: %+v", name, r)
		}
	}
}
