package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// TestExportMutations: images with one mutation of their metadata. All that debugfs brings, and that is what it was, is
// exported, or it is named, or a directory that it is in. debugfs ignores numbers that are impossible, such as a symbolic
// link of 5000 bytes; how often this is so is logged. EXT4IMG_LONG=1 tries 400.
func TestExportMutations(t *testing.T) {
	mutate := judge.Oracles(t, "mutate.py")
	judge.Need(t, "python3", "debugfs")
	n := 24
	if effort.Long() {
		n = 400
	}
	seed := strconv.FormatUint(effort.FixedSeed(t, 1, 0), 10)
	src, bases, out := damagedTree(t), t.TempDir(), t.TempDir()
	for i := range 40 {
		if err := os.WriteFile(filepath.Join(src, "dir", fmt.Sprintf("small %d", i)), bytes.Repeat([]byte{byte(i)}, i*40), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, src)
	for name, options := range map[string][]string{"d4k": {"-b", "4096"}, "d1k": {"-b", "1024"}, "ext3": {"-t", "ext3", "-b", "1024"},
		"nocsum": {"-O", "^metadata_csum"}, "inline": {"-O", "inline_data"}} {
		img := judge.Mke2fs(t, "8M", append(options, "-d", src)...)
		if err := os.Rename(img, filepath.Join(bases, name+".img")); err != nil {
			t.Fatal(err)
		}
	}
	judge.Run(t, "python3", mutate, "run", "--dir", bases, "--n", fmt.Sprint(n), "--seed", seed, "--out", out, "--jobs", "1")
	list, err := os.ReadFile(filepath.Join(out, "patches.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all, lost := 0, 0
	for line := range strings.Lines(string(list)) {
		var m mutation
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		brought, named := m.try(t, bases, want)
		all, lost = all+brought, lost+named
	}
	t.Logf("%d mutations: debugfs brings %d files; %d of them are named by export instead", n, all, lost)
	if all == 0 || lost > all/20 {
		t.Errorf("%d files of %d are only named", lost, all)
	}
}

// mutation is one line of mutate.py.
type mutation struct {
	ID              int
	Base, Cls, Desc string
	Patches         [][2]any
}

// try exports one mutated image. It returns how many files debugfs brings as they were, and how many of these are named as
// what cannot be exported.
func (m *mutation) try(t *testing.T, bases string, want map[string]string) (brought, named int) {
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	img, ref, dst := filepath.Join(dir, "img"), filepath.Join(dir, "ref"), filepath.Join(dir, "dst")
	judge.Run(t, "cp", "--sparse=always", filepath.Join(bases, m.Base+".img"), img)
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Patches {
		var data []byte
		if _, err := fmt.Sscanf(p[1].(string), "%x", &data); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, int64(p[0].(float64))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errorsOf(f.Close(), os.Mkdir(ref, 0o755)); err != nil {
		t.Fatal(err)
	}
	rdump(t, img, ref)
	r := cmd(t, nil, "export", img, "/", dst)
	what := fmt.Sprintf("mutation %d of %s, %s: %s", m.ID, m.Base, m.Cls, m.Desc)
	if r.status > 1 || (r.status == 0) != (r.err == "") {
		t.Errorf("%s: status %d, %q", what, r.status, r.err)
	}
	got := map[string]string{}
	if _, err := os.Stat(dst); err == nil {
		got = contents(t, dst)
	}
	for p, v := range contents(t, ref) {
		if v != want[p] {
			continue
		}
		brought++
		if got[p] == v {
			continue
		}
		named++
		if !namedIn(r.err, "/"+p) {
			t.Errorf("%s: debugfs brings %q, export does not: %s", what, p, r.err)
		}
	}
	return brought, named
}

// namedIn tells whether messages are about a path, or a directory above it.
func namedIn(messages, p string) bool {
	for ; ; p = filepath.Dir(p) {
		if strings.Contains(messages, "ext4img: export "+p+": ") {
			return true
		}
		if p == "/" {
			return false
		}
	}
}
