package tree

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"
)

// Fields of a header: offset and length. Those from magic on are not in the oldest format.
var (
	fieldName       = [2]int{0, 100}
	fieldMode       = [2]int{100, 8}
	fieldUID        = [2]int{108, 8}
	fieldGID        = [2]int{116, 8}
	fieldSize       = [2]int{124, 12}
	fieldMtime      = [2]int{136, 12}
	fieldChecksum   = [2]int{148, 8}
	fieldLink       = [2]int{157, 100}
	fieldMagic      = [2]int{257, 8}
	fieldMajor      = [2]int{329, 8}
	fieldMinor      = [2]int{337, 8}
	fieldPrefix     = [2]int{345, 155} // POSIX
	fieldStarPrefix = [2]int{345, 131}
	fieldStarAtime  = [2]int{476, 12}
	fieldStarTail   = [2]int{508, 4}
	fieldGNUAtime   = [2]int{345, 12}
	fieldGNUReal    = [2]int{483, 12} // the size of a sparse file
)

const (
	fieldType      = 156
	gnuSparse      = 386 // the first of four ranges of data
	gnuExtended    = 482 // not zero: a block with more ranges follows
	gnuRanges      = 4
	gnuMoreRanges  = 21 // in a block of its own
	gnuMoreFollows = 504
	gnuRangeSize   = 24
)

// tarField is a field of a block.
func tarField(b *[tarBlock]byte, f [2]int) []byte { return b[f[0] : f[0]+f[1]] }

// tarText is a field with text.
func tarText(p []byte) string {
	p, _, _ = bytes.Cut(p, []byte{0})
	return string(p)
}

// tarNumber is a field with a number: octal, or binary with the highest bit set.
func tarNumber(p []byte) (int64, error) {
	if len(p) > 0 && p[0]&0x80 != 0 {
		return tarBinary(p)
	}
	p = bytes.Trim(p, " \x00")
	var n int64
	for _, c := range p {
		if c == 0 {
			break
		}
		if c < '0' || c > '7' || n > math.MaxInt64>>3 {
			return 0, fmt.Errorf("%q is no number", p)
		}
		n = n<<3 | int64(c-'0')
	}
	return n, nil
}

// tarBinary is a number of GNU tar: two's complement, highest byte first, whose first byte's highest bit is a mark.
func tarBinary(p []byte) (int64, error) {
	flip := byte(0)
	if p[0]&0x40 != 0 { // negative
		flip = 0xFF
	}
	var n uint64
	for i, c := range p {
		c ^= flip
		if i == 0 {
			c &= 0x7F
		}
		if n >= 1<<55 {
			return 0, errors.New("a number of more than 64 bits")
		}
		n = n<<8 | uint64(c)
	}
	if flip != 0 {
		return ^int64(n), nil
	}
	return int64(n), nil
}

// tarChecksumOK tells whether a block is a header.
func tarChecksumOK(b *[tarBlock]byte) bool {
	want, err := tarNumber(tarField(b, fieldChecksum))
	if err != nil {
		return false
	}
	var unsigned, signed int64
	for i, c := range b {
		if i >= fieldChecksum[0] && i < fieldChecksum[0]+fieldChecksum[1] {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed // old programs added signed bytes
}

// parseTarHeader reads a header, without those that extend it. stored is how many bytes of data follow.
func parseTarHeader(b *[tarBlock]byte) (m *tarHeader, stored int64) {
	m = &tarHeader{name: tarText(tarField(b, fieldName)), link: tarText(tarField(b, fieldLink)), kind: b[fieldType]}
	number := func(f [2]int, what string) int64 {
		n, err := tarNumber(tarField(b, f))
		if err != nil && m.bad == nil {
			m.bad = fmt.Errorf("%s: %w", what, err)
		}
		return n
	}
	m.mode, m.uid, m.gid = number(fieldMode, "mode"), number(fieldUID, "owner"), number(fieldGID, "group")
	m.mtime = tarTime(number(fieldMtime, "time of modification"), 0)
	stored = number(fieldSize, "size")
	if m.kind == tarLink {
		stored = 0 // the file whose name comes once more has it
	}
	switch magic := string(tarField(b, fieldMagic)); {
	case magic == "ustar  \x00": // GNU
		if at, err := tarNumber(tarField(b, fieldGNUAtime)); err == nil && at > 0 {
			m.atime = tarTime(at, 0)
		}
	case magic[:5] != "ustar":
		return m, stored
	case string(tarField(b, fieldStarTail)) == "tar\x00":
		m.prefixed(tarText(tarField(b, fieldStarPrefix)))
		if at, err := tarNumber(tarField(b, fieldStarAtime)); err == nil && at > 0 {
			m.atime = tarTime(at, 0)
		}
	default:
		m.prefixed(tarText(tarField(b, fieldPrefix)))
	}
	if m.kind == tarChar || m.kind == tarDevice {
		m.major, m.minor = number(fieldMajor, "device number"), number(fieldMinor, "device number")
	}
	return m, stored
}

func (m *tarHeader) prefixed(prefix string) {
	if prefix != "" {
		m.name = prefix + "/" + m.name
	}
}

// tarTime is a time of an archive, not farther away than what every inode clips it to.
func tarTime(sec, nsec int64) time.Time {
	const far = 1 << 40
	return time.Unix(min(max(sec, -far), far), nsec)
}
