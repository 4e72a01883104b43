package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// patched changes the first block of an image that begins with certain bytes.
func patched(t *testing.T, img, begin string, change func(p []byte)) {
	t.Helper()
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(p); off += 1024 {
		if bytes.HasPrefix(p[off:], []byte(begin)) {
			change(p[off:])
			if err := os.WriteFile(img, p, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no block begins with %q", begin)
}

// TestVerifyStatus: the exit status is that of fsck(8), and --like-e2fsck makes it that of e2fsck -fn.
func TestVerifyStatus(t *testing.T) {
	const logSuper, rootDir = "\xC0\x3B\x39\x98\x00\x00\x00\x04", "\x02\x00\x00\x00\x0C\x00\x01\x02."
	errno := func(p []byte) { p[35] = 5 } // the log was aborted
	for _, c := range []struct {
		name, flags string
		damage      func(img string)
		status      int
		says        string
	}{
		{"clean", "", func(string) {}, 0, ": clean, 0 files, 2 directories"},
		{"no dot", "", func(img string) { patched(t, img, rootDir, func(p []byte) { p[8] = 'x' }) }, 4, "dot-name: "},
		{"log", "", func(img string) { patched(t, img, logSuper, errno) }, 4, "journal-errno: "},
		{"log", "--like-e2fsck", func(img string) { patched(t, img, logSuper, errno) }, 8, "e2fsck -fn gives up here\n"},
		{"nothing", "", func(img string) { _ = os.Truncate(img, 0) }, 8, ""},
	} {
		img := newImage(t, "8M", "-b", "1024", "-O", "^metadata_csum,^resize_inode")
		c.damage(img)
		before, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		if r := cmd(t, nil, "verify "+c.flags, img); r.status != c.status || !strings.Contains(r.out, c.says) {
			t.Errorf("%s %s: status %d\n%s%s", c.name, c.flags, r.status, r.out, r.err)
		}
		r := cmd(t, nil, "verify --json "+c.flags, img)
		var res verifyResult
		if err := json.Unmarshal([]byte(r.out), &res); err != nil || r.status != c.status || res.Clean != (c.status == 0) {
			t.Errorf("%s %s --json: status %d, %v\n%s%s", c.name, c.flags, r.status, err, r.out, r.err)
		}
		if after, err := os.ReadFile(img); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the image has changed: %v", c.name, err)
		}
	}
}
