package sizes

import (
	"math"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "4096": 4096, "4K": 4096, "4k": 4096, "4KiB": 4096, "4KB": 4000, "1M": 1 << 20, "1.5G": 3 << 29, "2T": 2 << 40,
		"1MB": 1000000, "0x1000": 4096, "7E": 7 << 60, "512B": 512, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "K", "4Q", "4KK", "-1", "8E", "1e3", "4 K", "1/2", "0x", "1_0", "9223372036854775808", "..", "4iB"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("%q: %d, want an error", s, got)
		}
	}
}
