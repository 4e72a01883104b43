package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDamagedCounts removes and replaces files and directories where a count is wrong that goes up or down when they are
// freed. Either the last name stays and nothing has changed, or all of it is freed: never is an inode left without a name.
func TestDamagedCounts(t *testing.T) {
	noSums := []string{"-O", "^metadata_csum,^uninit_bg"}
	seal := "set_bg 0 checksum calc"
	inodes := func(by int) string { return fmt.Sprintf("set_bg 0 free_inodes_count INODES%+d", by) }
	blocks := func(by int) string { return fmt.Sprintf("set_bg 1 free_blocks_count BLOCKS%+d", by) } // where /f lies
	cases := map[string]struct {
		opts, requests []string
		path           string
		goes           bool // it can be freed
	}{
		"no directories":          {nil, []string{"set_bg 0 used_dirs_count 0", seal}, "/d", false},
		"no directories, a file":  {nil, []string{"set_bg 0 used_dirs_count 0", seal}, "/f", true},
		"one directory":           {nil, []string{"set_bg 0 used_dirs_count 1", seal}, "/d", true},
		"an inode too many free":  {nil, []string{inodes(1), seal}, "/f", false},
		"an inode too few free":   {nil, []string{inodes(-1), seal}, "/f", false},
		"a block too many free":   {noSums, []string{blocks(1)}, "/f", false},
		"a block too few free":    {noSums, []string{blocks(-1)}, "/f", false},
		"all inodes free":         {nil, []string{"ssv free_inodes_count ALL"}, "/f", true},
		"all but one inode free":  {nil, []string{"ssv free_inodes_count ALL-1"}, "/d", true},
		"more inodes free":        {nil, []string{"ssv free_inodes_count 4294967295"}, "/f", true},
		"no inode free":           {nil, []string{"ssv free_inodes_count 0"}, "/f", true},
		"all blocks free":         {nil, []string{"ssv free_blocks_count 16384"}, "/f", true},
		"more blocks free":        {nil, []string{"ssv free_blocks_count 4294967295"}, "/f", true},
		"far more blocks free":    {nil, []string{"ssv free_blocks_count 18446744073709551615"}, "/f", true},
		"no block free":           {nil, []string{"ssv free_blocks_count 0"}, "/f", true},
		"a reserved inode":        {nil, []string{"sif <9> mode 0100644", "sif <9> links_count 1", "ln <9> /nine"}, "/nine", false},
		"attributes not counted":  {nil, []string{"sif /f blocks 48"}, "/f", false},
		"of a link not counted":   {nil, []string{"sif /link blocks 0"}, "/link", false},
		"value with no reference": {[]string{"-O", "ea_inode"}, []string{"sif <VALUE> version 0"}, "/v", false},
		"value with one of two":   {[]string{"-O", "ea_inode"}, []string{"sif <VALUE> version 1"}, "/v", false},
		"value marked free":       {[]string{"-O", "ea_inode"}, []string{"freei <VALUE>"}, "/v", false},
	}
	for name, c := range cases {
		for _, op := range []string{"remove", "replace"} {
			t.Run(name+"/"+op, func(t *testing.T) {
				img, content := countedFiles(t, c.opts...)
				change(t, img, counts(t, img, c.requests)...)
				before := complaints(t, img)
				fs, dev := openImage(t, img, Options{})
				err := fs.Remove(c.path)
				if op == "replace" && c.path == "/d" {
					err = fs.Rename("/e", c.path, 0)
				} else if op == "replace" {
					err = fs.Rename("/more", c.path, 0)
				}
				if c.goes && err != nil || !c.goes && !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
				closeImage(t, fs, dev)
				for _, s := range complaints(t, img) {
					if !slices.Contains(before, s) {
						t.Errorf("e2fsck says now: %s", s)
					}
				}
				if got := debugfs(t, img, "cat /other"); got != string(content) {
					t.Errorf("/other: %d bytes", len(got))
				}
				if got := debugfs(t, img, "cat /f"); c.path == "/f" && !c.goes && got != string(content) {
					t.Errorf("/f: %d bytes", len(got))
				}
			})
		}
	}
}

// countedFiles makes an image with files with attributes in blocks and in inodes of their own, and directories.
func countedFiles(t *testing.T, opts ...string) (img string, content []byte) {
	t.Helper()
	img, content = twoFiles(t, append([]string{"-t", "ext4", "-b", "1024"}, opts...)...)
	fs, dev := openImage(t, img, Options{})
	must(t, errors.Join(fs.Mkdir("/d", Attr{Perm: 0o755}), fs.Mkdir("/e", Attr{Perm: 0o755}), fs.Symlink("other", "/link", Attr{})))
	for i, name := range []string{"/f", "/link"} {
		must(t, fs.SetXattr(name, "trusted.large", bytes.Repeat([]byte{'a' + byte(i)}, 700), 0, false))
	}
	writeFile(t, fs, "/more", nil)
	if slices.Contains(opts, "ea_inode") {
		writeFile(t, fs, "/v", nil)
		for _, attr := range []string{"user.value", "user.same"} {
			must(t, fs.SetXattr("/v", attr, bytes.Repeat([]byte("v"), 3000), 0, false))
		}
	}
	closeImage(t, fs, dev)
	return img, content
}

// counts puts numbers of the image into requests.
func counts(t *testing.T, img string, requests []string) (out []string) {
	t.Helper()
	stats := debugfs(t, img, "stats")
	groups := regexp.MustCompile(`Group  \d:[^\n]*\n\s+(\d+) free blocks, (\d+) free inodes`).FindAllStringSubmatch(stats, -1)
	if len(groups) != 2 {
		t.Fatal(stats)
	}
	known := map[string]string{"BLOCKS": groups[1][1], "INODES": groups[0][2], "ALL": fmt.Sprint(number(t, stats, "Inode count:"))}
	for _, r := range requests {
		for key, text := range known {
			if head, tail, ok := strings.Cut(r, key); ok {
				n, by := 0, 0
				fmt.Sscan(text, &n)
				fmt.Sscan(tail, &by)
				r = fmt.Sprint(head, n+by)
			}
		}
		if strings.Contains(r, "VALUE") { // made with the attribute, after its file
			r = strings.ReplaceAll(r, "VALUE", fmt.Sprint(number(t, debugfs(t, img, "stat /v"), "Inode:")+1))
		}
		out = append(out, r)
	}
	return out
}
