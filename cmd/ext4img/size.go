package main

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/urfave/cli/v2"
)

// parseSize reads a size as util-linux does: 4096, 4K, 4KiB = 4096; 4KB = 4000; 1.5G; 0x1000.
func parseSize(s string) (int64, error) {
	digits, unit := splitUnit(s)
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

// splitUnit cuts the number from its unit.
func splitUnit(s string) (digits, unit string) {
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

// size is the value of a flag that takes a size.
type size struct {
	n   int64
	set bool
}

func (s *size) Set(text string) (err error) {
	s.n, err = parseSize(text)
	s.set = err == nil
	return err
}

func (s *size) String() string {
	if s == nil || s.n == 0 && !s.set {
		return ""
	}
	return shortSize(s.n)
}

// shortSize writes a size with the largest unit that divides it.
func shortSize(n int64) string {
	unit := 0
	for n != 0 && n%1024 == 0 && unit < 4 {
		n /= 1024
		unit++
	}
	return fmt.Sprint(n) + [...]string{"", "K", "M", "G", "T"}[unit]
}

// sizeFlag defines a flag that takes a size. def 0: none.
func sizeFlag(def int64, usage string, names ...string) cli.Flag {
	return &cli.GenericFlag{Name: names[0], Aliases: names[1:], Usage: usage, Value: &size{n: def}}
}

// sizeOf is the value of a size flag, and whether it was given.
func sizeOf(c *cli.Context, name string) (n int64, set bool) {
	s := c.Generic(name).(*size)
	return s.n, s.set
}
