package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// unescape is what a reader does to have a text back: the escapes are those of Go, too.
func unescape(t *testing.T, shown string) string {
	t.Helper()
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(shown, `"`, `\"`) + `"`)
	if err != nil {
		t.Errorf("%q: %v", shown, err)
	}
	return s
}

// TestEscape: every byte, alone and among letters, and every character: what is shown has nothing that drives a terminal
// or that is not seen, and gives back exactly what it was made from.
func TestEscape(t *testing.T) {
	check := func(s string) {
		t.Helper()
		shown := escape(s)
		if !utf8.ValidString(shown) {
			t.Errorf("%q: shown as %q, which is not UTF-8", s, shown)
		}
		for _, r := range shown {
			if hidden(r) {
				t.Errorf("%q: shown as %q, with U+%04X in it", s, shown, r)
			}
		}
		if back := unescape(t, shown); back != s {
			t.Errorf("%q: shown as %q, which gives back %q", s, shown, back)
		}
	}
	for b := range 256 {
		c := string([]byte{byte(b)})
		for _, s := range []string{c, "a" + c + "b", c + c, `\` + c, c + `\`, "ü" + c, c + "0f", `\x` + c} {
			check(s)
		}
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			check(string(r))
		}
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		p := make([]byte, rnd.IntN(12))
		const bytes = "\\\\xu0fn\x1b\n\x7f\x80\xc2\xe2\xe2\x80\xae\xf3\xa0a"
		for i := range p {
			p[i] = bytes[rnd.IntN(len(bytes))]
		}
		check(string(p))
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// TestEscapeForms: what is shown, by examples.
func TestEscapeForms(t *testing.T) {
	for s, want := range map[string]string{
		"plain name-1.txt": "plain name-1.txt", "": "", "Grüße 日本 🙂": "Grüße 日本 🙂", "a'b\"c$d": "a'b\"c$d",
		`\xff`: `\\xff`, "\xff": `\xff`, `a\b`: `a\\b`, "a\nb": `a\nb`, "\t\r\a": `\t\r\a`, "\x1b[2J": `\x1b[2J`, "\x00": `\x00`, "\x7f": `\x7f`,
		"\u0085": `\u0085`, "\u009b": `\u009b`, "\x9b": `\x9b`, "a\u202egpj.exe": `a\u202egpj.exe`, "\u2066x\u2069": `\u2066x\u2069`,
		"\u200b": `\u200b`, "\u2028\u2029": `\u2028\u2029`, "\ufeff": `\ufeff`, "\U000e0041": `\U000e0041`, "\u00ad": `\u00ad`, "\u00a0": `\u00a0`,
		"\u3164": `\u3164`, "\ufe0f": `\ufe0f`, "\U000e0100": `\U000e0100`, "\ue000": `\ue000`, "\uffff": `\uffff`, "\u3000": `\u3000`,
		"\ufffd": "\ufffd", "\xed\xa0\x80": `\xed\xa0\x80`, "\xc0\x80": `\xc0\x80`, "e\u0301": "e\u0301",
	} {
		if got := escape(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// TestEscapeShell: bash gives the same back.
func TestEscapeShell(t *testing.T) {
	for _, s := range []string{`\xff`, "\xff", "a\nb\t\\n", "\x1b[31m", "\u202eabc", "\U000e0041", "\x7f\u009b", `\\`, "ü\xfc"} {
		c := judge.Command(t, "bash", "-c", `printf %b "$1"`, "bash", escape(s))
		c.Env = []string{"LC_ALL=C.UTF-8"}
		out, err := c.Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: bash makes %q of %s: %v", s, out, escape(s), err)
		}
	}
}

// TestPrintText: arguments of every kind are escaped, formats and numbers are not touched.
func TestPrintText(t *testing.T) {
	evil := "\x1b]0;x\x07\n"
	safe := escape(evil)
	type named string
	for _, c := range []struct {
		format string
		arg    any
		want   string
	}{
		{"%s\n", evil, safe + "\n"}, {"%v", named(evil), safe}, {"%v", errors.New(evil), safe}, {"%v", []string{evil}, "[" + safe + "]"},
		{"%v", struct{ A string }{evil}, "{" + safe + "}"}, {"%s", []byte(evil), safe}, {"%v", &enumHolder{evil}, safe},
		{"%5d|", 7, "    7|"}, {"%v", layout.Ino(12), "12"}, {"%.2f", 1.5, "1.50"}, {"%v", true, "true"}, {"%-6s|", "ab", "ab    |"},
		{"%s", ours("\x1b[1m\n"), "\x1b[1m\n"}, {"%v", nil, "<nil>"}, {"%s", painted("31", evil), "\x1b[31m" + safe + "\x1b[0m"},
	} {
		var b bytes.Buffer
		printText(&b, c.format, c.arg)
		if b.String() != c.want {
			t.Errorf("%s of %#v: %q, want %q", c.format, c.arg, b.String(), c.want)
		}
	}
}

type enumHolder struct{ s string }

func (e *enumHolder) String() string { return e.s }

// TestErrorText: one line, whatever was joined.
func TestErrorText(t *testing.T) {
	a, b := errors.New("a\nx"), errors.New("b")
	for _, c := range []struct {
		err  error
		want string
	}{
		{a, "a\nx"}, {errors.Join(a, b), "a\nx; b"}, {fmt.Errorf("op: %w", errors.Join(a, b)), "op: a\nx; b"}, {errors.Join(a), "a\nx"},
		{errors.Join(errors.Join(a, b), b), "a\nx; b; b"}, {errors.Join(fmt.Errorf("c: %w", errors.Join(a, b)), b), "c: a\nx; b; b"},
		{fmt.Errorf("%w, then %w", a, b), "a\nx, then b"},
	} {
		if got := errorText(c.err); got != c.want {
			t.Errorf("%q: %q, want %q", c.err, got, c.want)
		}
	}
}

// TestFailures: each is one line, whatever its path, and the command ends with status 1; what is not about one file comes back.
func TestFailures(t *testing.T) {
	var b bytes.Buffer
	f := &failures{to: &b, op: "ls"}
	if err := f.end(nil); err != nil {
		t.Errorf("without a failure: %v", err)
	}
	for _, err := range []error{context.Canceled, &interrupted{syscall.SIGTERM}, &outputError{syscall.ENOSPC, exitFailed}, &usageError{}, &exitStatus{3}} {
		if got := f.add("/x", fmt.Errorf("more: %w", err)); !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
	}
	for _, err := range []error{nil, syscall.EIO, layout.ErrCorrupt} {
		if got := f.add("/a\nb", err); got != nil {
			t.Errorf("%v: %v", err, got)
		}
	}
	want := "ext4img: ls /a\\nb: input/output error\next4img: ls /a\\nb: " + layout.ErrCorrupt.Error() + "\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	if err := f.end(nil); report(err, &b) != exitFailed || b.String() != want {
		t.Errorf("end: %v", err)
	}
	if err := f.end(syscall.EROFS); err != syscall.EROFS {
		t.Errorf("end with an error: %v", err)
	}
}
