package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// complaints is what e2fsck -fn says of an image, without numbers, each once.
func complaints(t *testing.T, img string) []string {
	t.Helper()
	out, _ := judge.Command(t, "e2fsck", "-fn", img).CombinedOutput()
	var list []string
	for _, line := range strings.Split(string(out), "\n") {
		if line = regexp.MustCompile(`[0-9]+`).ReplaceAllString(line, "N"); strings.Contains(line, "?") {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// change has debugfs damage an image.
func change(t *testing.T, img string, requests ...string) {
	t.Helper()
	for _, r := range requests {
		judge.Run(t, "debugfs", "-w", "-R", r, img)
	}
}

// patch overwrites bytes.
func patch(t *testing.T, img string, at int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(p, at)
	must(t, errors.Join(err, f.Close()))
}

// twoFiles makes an image with the files /f and /other of some blocks, and inode 12 for /f.
func twoFiles(t *testing.T, opts ...string) (img string, content []byte) {
	t.Helper()
	img = newImage(t, "16M", opts...)
	fs, dev := openImage(t, img, Options{})
	content = bytes.Repeat([]byte("contents "), 3000)
	for _, name := range []string{"/f", "/other"} {
		writeFile(t, fs, name, content)
	}
	closeImage(t, fs, dev)
	return img, content
}

func writeFile(t *testing.T, fs *FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, Attr{Perm: 0o644})
	must(t, err)
	_, err = f.WriteAt(content, 0)
	must(t, errors.Join(err, f.Close()))
}

// others makes sure that the rest of a damaged image can be read and changed.
func others(t *testing.T, img string, content []byte, name string) {
	t.Helper()
	fs, dev := openImage(t, img, Options{})
	must(t, fs.Mkdir(name, Attr{Perm: 0o755}))
	closeImage(t, fs, dev)
	before := fileHash(t, img)
	fs, dev = openImage(t, img, Options{ReadOnly: true})
	if p, err := fs.readFile("/other"); err != nil || !bytes.Equal(p, content) {
		t.Errorf("/other: %d bytes: %v", len(p), err)
	}
	closeImage(t, fs, dev)
	if fileHash(t, img) != before {
		t.Error("reading has changed the image")
	}
}

// number finds a number behind a label in what debugfs prints.
func number(t *testing.T, text, label string) int {
	t.Helper()
	m := regexp.MustCompile(label + `\s*([0-9]+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in %s", label, text)
	}
	n, err := strconv.Atoi(m[1])
	must(t, err)
	return n
}

// TestDamagedFileStays lets operations that would free a damaged file fail whole: e2fsck complains of nothing new, the
// rest can be read, and the next change succeeds.
func TestDamagedFileStays(t *testing.T) {
	damages := map[string]string{
		"length 0":            "sif /f block[4] 0",
		"length beyond":       "sif /f block[4] 0x7000",
		"beyond the end":      "sif /f block[5] 0x7ffffff",
		"in the inode table":  "sif /f block[5] TABLE",
		"in a bitmap":         "sif /f block[5] BITMAP",
		"in the journal":      "sif /f block[5] JOURNAL",
		"free blocks":         "sif /f block[5] FREE",
		"i_blocks too small":  "sif /f blocks 2",
		"inode marked free":   "freei <12>",
		"blocks marked free":  "freeb DATA 2",
		"attributes in table": "sif /f file_acl TABLE",
		"attributes in data":  "sif /f file_acl DATA",
	}
	indirect := map[string]string{
		"direct in the table":  "sif /f block[3] TABLE",
		"direct beyond":        "sif /f block[3] 0x7ffffff",
		"direct free":          "sif /f block[3] FREE",
		"direct twice":         "sif /f block[3] DATA",
		"list in the table":    "sif /f block[IND] TABLE",
		"list in the journal":  "sif /f block[IND] JOURNAL",
		"list free":            "sif /f block[IND] FREE",
		"list is data":         "sif /f block[DIND] DATA",
		"third list in bitmap": "sif /f block[TIND] BITMAP",
	}
	operations := map[string]func(fs *FS) error{
		"remove":   func(fs *FS) error { return fs.Remove("/f") },
		"truncate": func(fs *FS) error { return fs.Truncate("/f", 0) },
		"replace":  func(fs *FS) error { return fs.Rename("/other2", "/f", 0) },
		"open": func(fs *FS) error {
			f, err := fs.OpenFile("/f", os.O_WRONLY|os.O_TRUNC, 0)
			if err == nil {
				err = f.Close()
			}
			return err
		},
	}
	run := func(name, damage string, opts ...string) {
		for op, do := range operations {
			if strings.HasPrefix(name, "attributes") && (op == "truncate" || op == "open") || strings.Contains(name, "marked free") && op != "remove" {
				continue // it frees neither the attributes nor the inode
			}
			t.Run(name+"/"+op, func(t *testing.T) {
				img, content := twoFiles(t, opts...)
				fs, dev := openImage(t, img, Options{})
				must(t, fs.Symlink("other", "/other2", Attr{}))
				closeImage(t, fs, dev)
				change(t, img, places(t, img, damage))
				before := complaints(t, img)
				fs, dev = openImage(t, img, Options{})
				if err := do(fs); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", op, err)
				}
				closeImage(t, fs, dev)
				if !strings.Contains(name, "marked free") { // its group's counts are wrong
					others(t, img, content, "/next")
				}
				for _, c := range complaints(t, img) {
					if !slices.Contains(before, c) {
						t.Errorf("e2fsck says now: %s", c)
					}
				}
			})
		}
	}
	for name, damage := range damages {
		run(name, damage, "-t", "ext4")
	}
	for name, damage := range indirect {
		run("indirect "+name, damage, "-t", "ext3", "-b", "1024")
	}
}

// places puts block numbers of the image into a request.
func places(t *testing.T, img, request string) string {
	t.Helper()
	stats := debugfs(t, img, "stats")
	used := debugfs(t, img, "bmap /f 0")
	journal := debugfs(t, img, "bmap <8> 20")
	free := strings.Fields(debugfs(t, img, "ffb 20 9000"))
	table := number(t, stats, "inode table at")
	return strings.NewReplacer("TABLE", fmt.Sprint(table+3), "BITMAP", fmt.Sprint(number(t, stats, "block bitmap at")),
		"JOURNAL", strings.TrimSpace(journal), "FREE", free[len(free)-1], "DATA", strings.TrimSpace(used)).Replace(request)
}

// TestDamagedOrphans opens images whose orphans cannot be finished: for reading as if there were none, for writing with
// a warning that names them, and again and again.
func TestDamagedOrphans(t *testing.T) {
	unlinked := []string{"sif <12> links_count 0", "unlink /f", "ssv last_orphan 12"}
	cases := map[string]struct {
		opts     []string
		requests []string
		warning  string
	}{
		"map":            {nil, append([]string{"sif /f block[4] 0"}, unlinked...), "orphan inode 12"},
		"metadata":       {nil, append([]string{"sif /f block[5] 1"}, unlinked...), "orphan inode 12"},
		"map of a file":  {nil, []string{"sif /f block[4] 0", "sif /f size 1", "ssv last_orphan 12"}, "orphan inode 12"},
		"no mode":        {nil, append([]string{"sif /f mode 0"}, unlinked...), "orphan inode 12"},
		"inode free":     {nil, append([]string{"freei <12>"}, unlinked...), "orphan inode 12"},
		"circle":         {nil, append([]string{"sif <12> dtime 13", "sif <13> dtime 12"}, unlinked...), "orphans: left"},
		"to nowhere":     {nil, append([]string{"sif <12> dtime 99999999"}, unlinked...), "orphans: left"},
		"reserved":       {nil, []string{"ssv last_orphan 2"}, "orphans: left"},
		"beyond":         {nil, []string{"ssv last_orphan 4000000000"}, "orphans: left"},
		"unused":         {nil, []string{"ssv last_orphan 3000"}, "orphan"},
		"file is a hole": {[]string{"-O", "orphan_file"}, []string{"ssv orphan_file_inum 11"}, "orphans: left"},
		"file is no one": {[]string{"-O", "orphan_file"}, []string{"ssv orphan_file_inum 99999999"}, "orphans: left"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			img, content := twoFiles(t, append([]string{"-t", "ext4"}, c.opts...)...)
			change(t, img, c.requests...)
			for i := range 2 {
				fs, dev := openImage(t, img, Options{})
				w := fmt.Sprint(fs.Warnings())
				if !strings.Contains(w, c.warning) {
					t.Errorf("warnings %s, want %q", w, c.warning)
				}
				if name == "inode free" { // no new one can be made in its group: the counts are wrong
					closeImage(t, fs, dev)
					continue
				}
				writeFile(t, fs, "/new", content)
				must(t, fs.Remove("/new"))
				closeImage(t, fs, dev)
				others(t, img, content, fmt.Sprint("/next", i))
			}
			for _, line := range complaints(t, img) {
				if strings.Contains(line, "block bitmap") || strings.Contains(line, "multiply") {
					t.Errorf("e2fsck says: %s", line)
				}
			}
		})
	}
}

// TestGoodOrphanBesideBad finishes the orphan that can be finished.
func TestGoodOrphanBesideBad(t *testing.T) {
	img, content := twoFiles(t, "-t", "ext4")
	change(t, img, "sif /f block[4] 0", "sif <12> dtime 13", "sif <12> links_count 0", "sif <13> links_count 0", "unlink /f", "unlink /other", "ssv last_orphan 12")
	fs, dev := openImage(t, img, Options{})
	if w := fs.Warnings(); len(w) != 1 || !errors.Is(w[0], ErrCorrupt) {
		t.Errorf("warnings %v, want one", w)
	}
	writeFile(t, fs, "/other", content)
	closeImage(t, fs, dev)
	others(t, img, content, "/next")
	if got := debugfs(t, img, "testi <12>"); !strings.Contains(got, "marked in use") {
		t.Errorf("the damaged orphan: %s", got)
	}
}

// TestRefusedOpenWritesNothing opens images for writing that must not be, and compares every byte.
func TestRefusedOpenWritesNothing(t *testing.T) {
	sums := []string{"-t", "ext4", "-b", "4096", "-O", "metadata_csum"}
	noSums := []string{"-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^uninit_bg,^flex_bg"}
	overlap := []string{"set_bg 1 inode_table 70"}
	cases := map[string]struct {
		opts     []string
		requests []string
		at       int64 // of bytes to overwrite
		bytes    string
	}{
		"superblock checksum":   {sums, nil, 1024 + 0x3FC, "abcd"},
		"magic":                 {nil, nil, 1024 + 0x38, "xx"},
		"incompatible feature":  {nil, []string{"ssv feature_incompat 0x800002c2"}, 0, ""},
		"read-only feature":     {nil, []string{"ssv feature_ro_compat 0x80000001"}, 0, ""},
		"block size":            {noSums, []string{"ssv log_block_size 9"}, 0, ""},
		"blocks per group":      {noSums, []string{"ssv blocks_per_group 8191"}, 0, ""},
		"inodes per group":      {noSums, []string{"ssv inodes_per_group 13"}, 0, ""},
		"beyond the device":     {noSums, []string{"ssv blocks_count 99999"}, 0, ""},
		"checksum type":         {sums, []string{"ssv checksum_type 2"}, 0, ""},
		"cluster size":          {noSums, []string{"ssv log_cluster_size 3"}, 0, ""},
		"journal inode free":    {noSums, []string{"sif <8> links_count 0"}, 0, ""},
		"journal inode mapped":  {noSums, []string{"sif <8> block[4] 0"}, 0, ""},
		"journal number":        {noSums, []string{"ssv journal_inum 99999"}, 0, ""},
		"descriptor checksum":   {sums, nil, 4096 + 0x1E, "xx"},
		"descriptor range":      {noSums, []string{"set_bg 1 block_bitmap 99999"}, 0, ""},
		"overlap":               {noSums, overlap, 0, ""},
		"overlap, dirty":        {noSums, append(overlap, "feature needs_recovery"), 0, ""},
		"table on superblock":   {noSums, []string{"set_bg 0 inode_table 1"}, 0, ""},
		"bitmap on descriptors": {noSums, []string{"set_bg 0 block_bitmap 2"}, 0, ""},
		"bitmap on reserved":    {noSums, []string{"set_bg 0 inode_bitmap 10"}, 0, ""},
		"in another group":      {noSums, []string{"set_bg 0 inode_table 9000"}, 0, ""},
		"mmp, overlap":          {append(slices.Clone(noSums[:5]), "^metadata_csum,^uninit_bg,mmp"), []string{"set_bg 1 inode_table 70"}, 0, ""},
		"mmp block nowhere":     {[]string{"-t", "ext4", "-O", "mmp"}, []string{"ssv mmp_block 99999"}, 0, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			img, _ := twoFiles(t, c.opts...)
			change(t, img, c.requests...)
			if c.at > 0 {
				patch(t, img, c.at, []byte(c.bytes))
			}
			refused(t, img)
		})
	}
	for name, bad := range map[string]int64{"journal magic": 0, "journal block size": 0xC, "journal features": 0x28, "journal length": 0x10} {
		t.Run(name, func(t *testing.T) {
			img, _ := twoFiles(t, noSums...)
			at := number(t, debugfs(t, img, "bmap <8> 0"), "")
			patch(t, img, int64(at)*1024+bad, []byte("\x77\x77\x77\x77"))
			refused(t, img)
			change(t, img, "feature needs_recovery")
			refused(t, img)
		})
	}
	t.Run("journal errno, overlap", func(t *testing.T) {
		img, _ := twoFiles(t, noSums...)
		at := number(t, debugfs(t, img, "bmap <8> 0"), "")
		patch(t, img, int64(at)*1024+0x20, []byte("\x00\x00\x00\x05"))
		change(t, img, append(overlap, "feature needs_recovery")...)
		refused(t, img)
	})
}

// refused opens an image for writing, which must fail and change nothing.
func refused(t *testing.T, img string) {
	t.Helper()
	before := fileHash(t, img)
	dev, err := aio.Open(img, aio.Options{Write: true})
	must(t, err)
	fs, err := Open(dev, Options{})
	switch {
	case err == nil:
		t.Errorf("opened; closed with: %v", fs.Close())
	case !errors.Is(err, layout.ErrCorrupt) && !errors.Is(err, layout.ErrUnsupported):
		t.Errorf("an error of no kind: %v", err)
	}
	must(t, dev.Close())
	if fileHash(t, img) != before {
		t.Errorf("changed by an open that was refused: %v", err)
	}
}
