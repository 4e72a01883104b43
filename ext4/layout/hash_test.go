package layout

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestDirHashKnown compares with hashes that debugfs computed.
func TestDirHashKnown(t *testing.T) {
	seed := uuidWords("0123456789abcdef0123456789abcdef")
	for _, c := range []struct {
		v    HashVersion
		seed [4]uint32
		name string
		want NameHash
	}{
		{HashHalfMD4, seed, "hello", 0xa26e4a80},
		{HashTea, [4]uint32{}, "abc", 0xb1435ec4},
	} {
		if got, _, _ := dirHash(c.v, c.seed, []byte(c.name)); got != c.want {
			t.Errorf("hash %d of %q: %#x, want %#x", c.v, c.name, got, c.want)
		}
	}
	if _, _, ok := dirHash(HashSip, seed, []byte("x")); ok {
		t.Error("siphash was computed without a key")
	}
}

func uuidWords(s string) (w [4]uint32) {
	b, _ := hex.DecodeString(s)
	for i := range w {
		w[i] = le.Uint32(b[4*i:])
	}
	return w
}

// TestDirHashDebugfs compares with debugfs over random names of all lengths.
func TestDirHashDebugfs(t *testing.T) {
	versions := []HashVersion{HashLegacy, HashHalfMD4, HashTea, HashLegacyUnsigned, HashHalfMD4Unsigned, HashTeaUnsigned}
	seeds := []string{"00000000-0000-0000-0000-000000000000", "01234567-89ab-cdef-0123-456789abcdef"}
	rnd := rand.New(rand.NewPCG(1, 2))
	type query struct {
		v    HashVersion
		seed [4]uint32
		name string
	}
	var queries []query
	var script strings.Builder
	for _, v := range versions {
		for _, s := range seeds {
			for n := 1; n <= 255; n += 1 + n/8 {
				name := make([]byte, n)
				for i := range name {
					for name[i] = 0; strings.IndexByte("\x00\n\r\t \"/'", name[i]) >= 0 || i == 0 && name[i] == '-'; {
						name[i] = byte(rnd.Uint32())
					}
				}
				queries = append(queries, query{v, uuidWords(strings.ReplaceAll(s, "-", "")), string(name)})
				fmt.Fprintf(&script, "dx_hash -h %d -s %s %s\n", v, s, name)
			}
		}
	}
	got := regexp.MustCompile(`\(minor 0x([0-9a-f]+)\)|is 0x([0-9a-f]+) \(minor 0x([0-9a-f]+)\)`).FindAllStringSubmatch(judge.Ask(t, script.String()), -1)
	if len(got) != len(queries) {
		t.Fatalf("%d answers to %d questions", len(got), len(queries))
	}
	for i, q := range queries {
		h, minor, _ := dirHash(q.v, q.seed, []byte(q.name))
		if want, wantMinor := got[i][2], got[i][3]; fmt.Sprintf("%x %x", uint32(h), minor) != want+" "+wantMinor {
			t.Errorf("hash %d of %q: %x minor %x, want %s minor %s", q.v, q.name, uint32(h), minor, want, wantMinor)
		}
	}
	t.Logf("%d hashes compared", len(queries))
}
