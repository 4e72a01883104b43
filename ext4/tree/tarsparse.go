package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// sparseMap finds the map of a sparse file, in any of the formats, and judges it: nothing else is asked for a file's size.
func (t *tarReader) sparseMap(m *tarHeader, ext *tarExtended) (err error) {
	major, minor := m.records[paxSparseMajor], m.records[paxSparseMinor]
	size := m.records[paxSparseReal]
	if size == "" {
		size = m.records[paxSparseSize]
	}
	switch {
	case m.kind == 'S':
		m.sparse = true
		err = t.gnuMap(m)
	case m.records["SUN.holesdata"] != "":
		return errors.New("a sparse file in the format of Solaris")
	case major == "" && m.records[paxSparseMap] == "" && ext.ranges == nil && size == "":
		return nil
	case major == "1" && minor == "0":
		m.sparse = true
		m.ranges, err = t.map10()
	case major == "" || major == "0":
		m.sparse, m.ranges = true, ext.ranges
		if text := m.records[paxSparseMap]; text != "" {
			m.ranges, err = map01(text)
		}
	default:
		return fmt.Errorf("a sparse file in format %s.%s", major, minor)
	}
	if err != nil {
		return err
	}
	if name := m.records[paxSparseName]; name != "" {
		m.name = name
	}
	if m.kind != 'S' {
		if m.size, err = strconv.ParseInt(size, 10, 64); err != nil {
			return fmt.Errorf("a sparse file of size %q", size)
		}
	}
	if m.kind == 'S' || m.kind == 0 || m.kind == '7' {
		m.kind = tarRegular
	}
	return checkRanges(m.ranges, m.size, t.data)
}

// checkRanges judges a map: in order, inside the file, and as long as what is stored.
func checkRanges(ranges []tarRange, size, stored int64) error {
	if size < 0 {
		return fmt.Errorf("a sparse file of %d bytes", size)
	}
	var end, sum int64
	for i, r := range ranges {
		if r.off < end || r.n < 0 || r.off > size || r.n > size-r.off {
			return fmt.Errorf("range %d of a sparse file: %d bytes at %d, after %d and in a file of %d", i, r.n, r.off, end, size)
		}
		end = r.off + r.n
		sum += r.n
	}
	if sum != stored {
		return fmt.Errorf("ranges of %d bytes, and %d are stored", sum, stored)
	}
	return nil
}

// gnuMap reads the map in the header of type S and the blocks behind it.
func (t *tarReader) gnuMap(m *tarHeader) (err error) {
	if string(tarField(&t.block, fieldMagic)) != "ustar  \x00" {
		return errors.New("a sparse file in a format other than GNU tar's")
	}
	if m.size, err = tarNumber(tarField(&t.block, fieldGNUReal)); err != nil {
		return fmt.Errorf("size: %w", err)
	}
	more := t.block[gnuExtended] != 0
	if err := m.addGNU(t.block[gnuSparse:], gnuRanges); err != nil {
		return err
	}
	for more {
		if err := t.fill(); err != nil {
			return errTarCut
		}
		if err := m.addGNU(t.block[:], gnuMoreRanges); err != nil {
			return err
		}
		more = t.block[gnuMoreFollows] != 0
	}
	return nil
}

// addGNU reads n ranges; an empty field ends them.
func (m *tarHeader) addGNU(p []byte, n int) error {
	for ; n > 0 && p[0] != 0; n, p = n-1, p[gnuRangeSize:] {
		off, e1 := tarNumber(p[:12])
		length, e2 := tarNumber(p[12:24])
		if err := errors.Join(e1, e2); err != nil {
			return fmt.Errorf("a range of a sparse file: %w", err)
		}
		if len(m.ranges) >= maxTarRanges {
			return fmt.Errorf("a map of more than %d ranges", maxTarRanges)
		}
		m.ranges = append(m.ranges, tarRange{off, length})
	}
	return nil
}

// map01 reads a map in format 0.1: numbers between commas.
func map01(text string) ([]tarRange, error) {
	n := strings.Count(text, ",") + 1
	if n%2 != 0 || n/2 > maxTarRanges {
		return nil, fmt.Errorf("a map of %d numbers", n)
	}
	ranges := make([]tarRange, 0, n/2)
	for len(text) > 0 {
		var off, length string
		off, text, _ = strings.Cut(text, ",")
		length, text, _ = strings.Cut(text, ",")
		r, err := parseRange(off, length)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func parseRange(off, length string) (r tarRange, err error) {
	if r.off, err = strconv.ParseInt(off, 10, 64); err == nil {
		r.n, err = strconv.ParseInt(length, 10, 64)
	}
	if err != nil {
		err = fmt.Errorf("%q and %q are no range", off, length)
	}
	return r, err
}

// map10 reads a map in format 1.0: lines with numbers in front of the data, in whole blocks.
func (t *tarReader) map10() ([]tarRange, error) {
	var rest []byte
	number := func() (int64, error) {
		for {
			line, after, ok := bytes.Cut(rest, []byte{'\n'})
			if ok {
				rest = after
				return strconv.ParseInt(string(line), 10, 64)
			}
			if len(rest) > tarBlock {
				return 0, errors.New("a map with a line that does not end")
			}
			var block [tarBlock]byte
			if _, err := io.ReadFull(t, block[:]); errors.Is(err, errTarCut) {
				return 0, err
			} else if err != nil {
				return 0, errors.New("a map that does not end")
			}
			rest = append(bytes.Clone(rest), block[:]...)
		}
	}
	count, err := number()
	if err != nil {
		return nil, fmt.Errorf("the map of a sparse file: %w", err)
	}
	if count < 0 || count > maxTarRanges {
		return nil, fmt.Errorf("a map of %d ranges: more than %d", count, maxTarRanges)
	}
	var ranges []tarRange
	for range count {
		off, e1 := number()
		n, e2 := number()
		if err := errors.Join(e1, e2); err != nil {
			return nil, fmt.Errorf("the map of a sparse file: %w", err)
		}
		ranges = append(ranges, tarRange{off, n})
	}
	return ranges, nil
}
