package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"ext4img/testimages/judge"
)

// oddNames are names with every byte that a name can have, every kind of character that is not seen or that drives a
// terminal, and what is easily mistaken for another.
func oddNames() []string {
	names := []string{
		`a\xffb`, "a\xffb", "a\xfeb", `a\nb`, "a\nb", "a\\\nb", "a b", "a\u00a0b", "a\u202eb", "a\u2066b", "a\u200bb", "a\u2028b", "a\ufeffb", "a\U000e0041b",
		"a\u009bb", "a\x9bb", "a\x7fb", "a\ufffdb", "\x1b]0;title\x07", "\x1b[2J", "-rf", "ä", "\xe4", "a -> b", "\x80", "\xff\xff", "日本", "\xe6\x97",
		strings.Repeat("\xff", 255), `"`, "'", "=", "%",
	}
	for b := 1; b < 256; b++ {
		if b != '/' {
			names = append(names, "x"+string([]byte{byte(b)})+"y")
		}
	}
	return names
}

// jsonName is a field of a JSON object, its bytes if it has some.
func jsonName(t *testing.T, object map[string]any, field string) string {
	t.Helper()
	text, _ := object[field].(string)
	raw, has := object[field+"_bytes"].(string)
	if !has {
		return text
	}
	p, err := base64.StdEncoding.DecodeString(raw)
	if err != nil || utf8.Valid(p) || strings.ToValidUTF8(string(p), "\ufffd") == "" {
		t.Errorf("%s: %q, bytes %q: %v", field, text, raw, err)
	}
	return string(p)
}

func objects(t *testing.T, doc string) (list []map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(doc), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// harmlessText tells that nothing in a text drives a terminal, except the ends of lines.
func harmlessText(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if hidden(r) && r != '\n' {
			t.Errorf("%s: U+%04X in %q", what, r, text)
			return
		}
	}
	if !utf8.ValidString(text) {
		t.Errorf("%s: not UTF-8: %q", what, text)
	}
}

// TestOddNames: names, link targets, attributes and labels of any bytes come out exactly, in text and in JSON.
func TestOddNames(t *testing.T) {
	img := newImage(t, "16M", "-b", "4096", "-L", "la\x1b[1m\xffbel", "-M", "/mnt/\x9b\xff\u202e")
	want := oddNames()
	var paths []string
	for _, n := range want {
		paths = append(paths, "/d/"+n)
	}
	ok(t, "mkdir", img, "/d")
	ok(t, "mkdir", append([]string{img}, paths...)...)
	fsck(t, img)
	slices.Sort(want)
	slices.Sort(paths)

	var fromText, fromJSON, fromTree, fromStat []string
	out := ok(t, "ls", img, "/d")
	harmlessText(t, "ls", out)
	for line := range strings.Lines(out) {
		fromText = append(fromText, unescape(t, strings.TrimSuffix(line, "\n")))
	}
	out = ok(t, "ls --json", img, "/d")
	harmlessText(t, "ls --json", out)
	for _, o := range objects(t, out) {
		fromJSON = append(fromJSON, jsonName(t, o, "name"))
		if p := jsonName(t, o, "path"); p != "/d/"+jsonName(t, o, "name") {
			t.Errorf("path %q of %q", p, o["name"])
		}
	}
	out = ok(t, "tree", img, "/d")
	harmlessText(t, "tree", out)
	for line := range strings.Lines(out) {
		if _, shown, has := strings.Cut(line, "── "); has {
			fromTree = append(fromTree, unescape(t, strings.TrimSuffix(shown, "\n")))
		}
	}
	out = ok(t, "stat --json", append([]string{img}, paths...)...)
	harmlessText(t, "stat --json", out)
	for _, o := range objects(t, out) {
		fromStat = append(fromStat, strings.TrimPrefix(jsonName(t, o, "path"), "/d/"))
	}
	for what, got := range map[string][]string{"ls": fromText, "ls --json": fromJSON, "tree": fromTree, "stat --json": fromStat} {
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d names, want %d: %q", what, len(got), len(want), got)
		}
	}
	harmlessText(t, "stat", ok(t, "stat", append([]string{img}, paths...)...))
	harmlessText(t, "ls -lR", ok(t, "ls -lR", img))
	harmlessText(t, "extents --all", ok(t, "extents --all", img))
	oddLabels(t, img)
	oddTargets(t, img, want)
	oddErrors(t, img, paths)
}

func oddLabels(t *testing.T, img string) {
	out := ok(t, "info", img)
	harmlessText(t, "info", out)
	for _, s := range []string{`la\x1b[1m\xffbel`, `/mnt/\x9b\xff\u202e`} {
		if !strings.Contains(out, s) {
			t.Errorf("info: no %s in %s", s, out)
		}
	}
	out = ok(t, "info --json", img)
	harmlessText(t, "info --json", out)
	object := objects(t, "["+out+"]")[0]
	if l, m := jsonName(t, object, "volume_name"), jsonName(t, object, "last_mounted"); l != "la\x1b[1m\xffbel" || m != "/mnt/\x9b\xff\u202e" {
		t.Errorf("info --json: %q, %q", l, m)
	}
	harmlessText(t, "dump super", ok(t, "dump super", img))
}

// oddTargets: targets of symbolic links, names and values of attributes.
func oddTargets(t *testing.T, img string, odd []string) {
	ok(t, "mkdir", img, "/links")
	ok(t, "put -", img, "/f")
	for i, target := range odd[:60] {
		ok(t, "ln -s --", img, target, "/links/"+string(rune('A'+i)))
	}
	out := ok(t, "ls -l --json", img, "/links")
	harmlessText(t, "links", out)
	got := map[string]bool{}
	for _, o := range objects(t, out) {
		got[jsonName(t, o, "target")] = true
	}
	for _, target := range odd[:60] {
		if !got[target] {
			t.Errorf("target %q is not there", target)
		}
	}
	harmlessText(t, "ls -l of links", ok(t, "ls -l", img, "/links"))
	harmlessText(t, "tree of links", ok(t, "tree", img, "/links"))

	attrs := map[string]string{}
	for i, n := range odd[:40] {
		if len(n) > 40 {
			continue
		}
		attrs["user."+n] = odd[len(odd)-1-i]
		ok(t, "xattr set", img, "/f", "user."+n, "x"+odd[len(odd)-1-i])
	}
	out = ok(t, "xattr list --json", img, "/f")
	harmlessText(t, "xattr list --json", out)
	found := 0
	for _, o := range objects(t, out) {
		value, _ := o["text"].(string)
		if b, has := o["base64"].(string); has {
			p, err := base64.StdEncoding.DecodeString(b)
			if err != nil {
				t.Error(err)
			}
			value = string(p)
		}
		if attrs[jsonName(t, o, "name")] == strings.TrimPrefix(value, "x") {
			found++
		}
	}
	if found != len(attrs) {
		t.Errorf("xattr list --json: %d of %d attributes", found, len(attrs))
	}
	out = ok(t, "xattr list", img, "/f")
	harmlessText(t, "xattr list", out)
	for line := range strings.Lines(out) {
		attr, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "/f: "), "=")
		if b, has := strings.CutPrefix(value, "0s"); has {
			p, err := base64.StdEncoding.DecodeString(b)
			if err != nil {
				t.Error(err)
			}
			value = string(p)
		} else {
			value = unescape(t, strings.ReplaceAll(strings.Trim(value, `"`), `\"`, `"`))
		}
		if attrs[unescape(t, attr)] != strings.TrimPrefix(value, "x") {
			t.Errorf("xattr list: %s: %q", line, value)
		}
	}
}

// oddErrors: what is not there, with a name that would forge a line or drive the terminal.
func oddErrors(t *testing.T, img string, odd []string) {
	for _, line := range []string{"cat", "stat", "ls", "tree", "extents", "xattr list", "rm", "chmod 644", "touch -c", "info", "get"} {
		for _, p := range odd[:50] {
			args := []string{img, p + "\n\x1b[31m"}
			if line == "info" {
				args = []string{p + "\n\x1b[31m"}
			}
			if line == "get" {
				args = append(args, t.TempDir())
			}
			r := cmd(t, nil, line, args...)
			harmlessText(t, line, r.err)
			if strings.Count(r.err, "\n") > 1 {
				t.Errorf("%s: %d lines: %q", line, strings.Count(r.err, "\n"), r.err)
			}
		}
	}
}

// TestOddDebugfs: debugfs agrees on what the names are.
func TestOddDebugfs(t *testing.T) {
	judge.Need(t, "debugfs")
	img := newImage(t, "16M")
	for _, n := range []string{"a\xffb", "a\x7fb", "\xe4"} {
		ok(t, "mkdir", img, "/"+n)
		out, err := judge.Command(t, "debugfs", "-R", "stat \"/"+n+"\"", img).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Type: directory")) {
			t.Errorf("%q: %v: %s", n, err, out)
		}
	}
	if _, err := os.Stat(img); err != nil {
		t.Error(err)
	}
}
