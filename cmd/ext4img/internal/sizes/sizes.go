// Package sizes reads and writes sizes as users give them, in bytes with a unit. It owns nothing.
package sizes

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// Parse reads a size as util-linux does: 4096, 4K, 4KiB = 4096; 4KB = 4000; 1.5G; 0x1000.
func Parse(s string) (int64, error) {
	digits, unit := Split(s)
	factor, err := unitFactor(unit)
	if err != nil || digits == "" {
		return 0, fmt.Errorf("size %q: want a number with K, M, G, T, P or E", s)
	}
	n, ok := new(big.Rat).SetString(digits)
	if !ok || strings.ContainsAny(digits, "/_eEpP") {
		return 0, fmt.Errorf("size %q: want a number with K, M, G, T, P or E", s)
	}
	n.Mul(n, new(big.Rat).SetInt64(factor))
	i := new(big.Int).Quo(n.Num(), n.Denom())
	if !i.IsInt64() {
		return 0, fmt.Errorf("size %q: more than %d", s, int64(math.MaxInt64))
	}
	return i.Int64(), nil
}

// Split cuts the number from its unit.
func Split(s string) (digits, unit string) {
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		if end := strings.IndexFunc(s[2:], func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) }); end >= 0 {
			return s[:2+end], s[2+end:]
		}
		return s, ""
	}
	if end := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789.", r) }); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

// unitFactor is what a unit multiplies by.
func unitFactor(unit string) (int64, error) {
	if unit == "" || strings.EqualFold(unit, "B") {
		return 1, nil
	}
	power := strings.IndexByte("KMGTPE", strings.ToUpper(unit)[0]) + 1
	base := int64(0)
	switch strings.ToUpper(unit[1:]) {
	case "", "IB":
		base = 1024
	case "B":
		base = 1000
	}
	if power == 0 || base == 0 {
		return 0, fmt.Errorf("unit %q", unit)
	}
	factor := int64(1)
	for range power {
		factor *= base
	}
	return factor, nil
}

// Short writes a size with the largest unit that divides it.
func Short(n int64) string {
	unit := 0
	for n != 0 && n%1024 == 0 && unit < 4 {
		n /= 1024
		unit++
	}
	return fmt.Sprint(n) + [...]string{"", "K", "M", "G", "T"}[unit]
}
