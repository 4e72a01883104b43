package layout

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Values of s_encoding and s_encoding_flags.
const (
	EncodingUTF8   uint16 = 1 // UTF-8 12.1
	EncodingStrict uint16 = 1 // a flag: names that are not valid UTF-8 are refused
	EncodingNewest uint16 = 2 // a flag: no name was stored with the hash of another kernel (SB_ENC_NO_COMPAT_FALLBACK_FL)
)

// FoldName gives the form of a name that is compared in a casefolded directory: decomposed canonically, case folded,
// without the ignorable code points, by Unicode 12.1 (the kernel's utf8_casefold). Code points that Unicode 12.1 does
// not know stay as they are. ok is false if the name is not UTF-8: such a name is compared by its bytes.
func FoldName(name []byte) (folded []byte, ok bool) {
	if ascii(name) {
		return asciiLower(name), true
	}
	t := foldTables()
	var out []foldRune
	for rest := name; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			return nil, false
		}
		rest = rest[n:]
		out = t.fold(out, r)
	}
	return encodeFolded(out), true
}

func ascii(p []byte) bool {
	for _, c := range p {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func asciiLower(p []byte) []byte {
	out := slices.Clone(p)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// A foldRune is a code point with its combining class. The rune -1 stands for an ignored code point: it is not
// encoded, but marks before it and after it are ordered separately.
type foldRune struct {
	r     rune
	class int
}

// Hangul syllables decompose by arithmetic.
const (
	hangulFirst, hangulLast         = 0xAC00, 0xD7A3
	hangulL, hangulV, hangulT       = 0x1100, 0x1161, 0x11A7
	hangulVCount, hangulTCount      = 21, 28
	ignoredRune                rune = -1
)

// fold appends the folded and decomposed form of a code point.
func (t *foldTable) fold(out []foldRune, r rune) []foldRune {
	switch {
	case hangulFirst <= r && r <= hangulLast:
		s := r - hangulFirst
		out = append(out, foldRune{hangulL + s/(hangulVCount*hangulTCount), 0}, foldRune{hangulV + s/hangulTCount%hangulVCount, 0})
		if s%hangulTCount > 0 {
			out = append(out, foldRune{hangulT + s%hangulTCount, 0})
		}
		return out
	case t.ignored.contains(r):
		return append(out, foldRune{ignoredRune, 0})
	}
	if to, ok := t.runes[r]; ok {
		for _, q := range to {
			out = append(out, foldRune{q, t.class.value(q)})
		}
		return out
	}
	return append(out, foldRune{r, t.class.value(r)})
}

// encodeFolded sorts the marks between two characters by their classes and encodes all code points.
func encodeFolded(runes []foldRune) []byte {
	for i := 0; i < len(runes); i++ {
		end := i
		for end < len(runes) && runes[end].class != 0 {
			end++
		}
		slices.SortStableFunc(runes[i:end], func(a, b foldRune) int { return cmp.Compare(a.class, b.class) })
		i = end
	}
	var p []byte
	for _, f := range runes {
		if f.r != ignoredRune {
			p = utf8.AppendRune(p, f.r)
		}
	}
	return p
}

// A runeRange has a value for the code points from first to last.
type runeRange struct {
	first, last rune
	v           int
}

type runeRanges []runeRange

func (s runeRanges) find(r rune) (runeRange, bool) {
	i, ok := slices.BinarySearchFunc(s, r, func(e runeRange, r rune) int {
		switch {
		case e.last < r:
			return -1
		case e.first > r:
			return 1
		}
		return 0
	})
	if !ok {
		return runeRange{}, false
	}
	return s[i], true
}

func (s runeRanges) contains(r rune) bool {
	_, ok := s.find(r)
	return ok
}

func (s runeRanges) value(r rune) int {
	e, _ := s.find(r)
	return e.v
}

// foldTable holds the decoded tables.
type foldTable struct {
	ignored, class runeRanges
	runes          map[rune][]rune
}

var foldTables = sync.OnceValue(func() *foldTable {
	t := &foldTable{ignored: parseRanges(foldIgnored), class: parseRanges(foldClass)}
	t.runes = make(map[rune][]rune)
	for item := range strings.FieldsSeq(foldMap) {
		from, to, _ := strings.Cut(item, "=")
		var list []rune
		for s := range strings.SplitSeq(to, "+") {
			list = append(list, hexRune(s))
		}
		t.runes[hexRune(from)] = list
	}
	return t
})

func parseRanges(s string) (out runeRanges) {
	for item := range strings.FieldsSeq(s) {
		span, value, _ := strings.Cut(item, "=")
		first, last, wide := strings.Cut(span, "-")
		if !wide {
			last = first
		}
		v, _ := strconv.Atoi(value)
		out = append(out, runeRange{hexRune(first), hexRune(last), v})
	}
	return out
}

func hexRune(s string) rune {
	n, _ := strconv.ParseUint(s, 16, 32)
	return rune(n)
}
