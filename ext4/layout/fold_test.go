package layout

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

func TestFoldName(t *testing.T) {
	for name, want := range map[string]string{
		"Hello.TXT": "hello.txt", "Straße": "strasse", "STRASSE": "strasse", "\u00c5": "a\u030a", "A\u030a": "a\u030a", "\u212b": "a\u030a",
		"\ud55c": "\u1112\u1161\u11ab", "so\u00adft": "soft", "q\u0307\u0323": "q\u0323\u0307", "ǅ": "ǆ", "Ω": "ω",
	} {
		if got, ok := FoldName([]byte(name)); !ok || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, bad := range []string{"\xff", "a\xc0\xaf", "\xed\xa0\x80"} {
		if got, ok := FoldName([]byte(bad)); ok {
			t.Errorf("%q is valid, and is %q", bad, got)
		}
	}
}

// TestFoldDebugfs compares hashes of folded names with debugfs: each code point between two marks, and random strings.
func TestFoldDebugfs(t *testing.T) {
	names := []string{"\u035f\u034f\u034c", "\u035f\u034c", "\u034c\u035f"}
	step := rune(13)
	if effort.Long() {
		step = 1
	}
	for r := rune(0x80); r <= utf8.MaxRune; r += step {
		if utf8.ValidRune(r) {
			names = append(names, "X\u0323\u0301"+string(r)+"\u0323\u0301")
		}
	}
	rnd := rand.New(rand.NewPCG(5, 0))
	for range 5000 {
		var s strings.Builder
		for range 1 + rnd.IntN(20) {
			s.WriteRune([]rune{rune(rnd.IntN(0x600)) + 0xA0, rune(rnd.IntN(0x70)) + 0x300, rune(rnd.IntN(0x2200)) + 0x1000, rune(rnd.IntN(11172)) + 0xAC00}[rnd.IntN(4)])
		}
		names = append(names, s.String())
	}
	g := &Geometry{}
	bad := 0
	for i, want := range debugfsFolded(t, names) {
		p, ok := FoldName([]byte(names[i]))
		if !ok {
			p = []byte(names[i])
		}
		if h, _ := g.DirHash(HashHalfMD4, p); fmt.Sprintf("%x", uint32(h)) != want {
			if bad++; bad < 20 {
				t.Errorf("%+q: valid %v, folds to %+q: hash %x, want %s", names[i], ok, p, uint32(h), want)
			}
		}
	}
	t.Logf("%d names compared, %d differ", len(names), bad)
}

// debugfsFolded asks debugfs for the hashes of names in a casefolded directory.
func debugfsFolded(t *testing.T, names []string) []string {
	t.Helper()
	var script strings.Builder
	for _, name := range names {
		fmt.Fprintf(&script, "dx_hash -h half_md4 -c -e utf8 %s\n", name)
	}
	re := regexp.MustCompile(`is 0x([0-9a-f]+) \(minor 0x[0-9a-f]+\)$`)
	var got []string
	for lines := bufio.NewScanner(strings.NewReader(judge.Ask(t, script.String()))); lines.Scan(); {
		if m := re.FindStringSubmatch(lines.Text()); m != nil {
			got = append(got, m[1])
		}
	}
	if len(got) != len(names) {
		t.Fatalf("%d answers to %d questions", len(got), len(names))
	}
	return got
}

// FuzzFoldName: folding a folded name changes nothing, with one exception. An ignored code point that stood between
// marks is gone after the first folding, and the second one may then reorder the marks. The kernel and e2fsprogs do
// the same (TestFoldDebugfs).
func FuzzFoldName(f *testing.F) {
	f.Add([]byte("Straße"))
	f.Add([]byte("\u035f\u034f\u034c"))
	f.Fuzz(func(t *testing.T, name []byte) {
		p, ok := FoldName(name)
		if !ok {
			return
		}
		apart := bytes.ContainsFunc(name, foldTables().ignored.contains)
		for range 2 {
			q, ok := FoldName(p)
			if !ok || string(q) != string(p) && !apart {
				t.Fatalf("%q folds to %q, and that to %q", name, p, q)
			}
			p, apart = q, false
		}
	})
}
