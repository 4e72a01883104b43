package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"ext4img/cmd/ext4img/internal/sizes"
)

// source is what write reads.
type source struct {
	r      io.Reader
	file   *os.File // nil for standard input
	size   int64    // -1: not known
	offset int64    // of the first byte in the file of the image
	ranges []byteRange
}

type byteRange struct{ off, n int64 }

// room is how many bytes in one piece are going to be written, 0 if that is not known.
func (s *source) room() int64 {
	if s.ranges != nil {
		return 0
	}
	return max(s.size, 0)
}

// openSource opens what write reads.
func openSource(e *env, o writeOptions) (*source, error) {
	src := &source{r: e.in, size: -1, offset: o.offset}
	if o.from != "-" {
		f, err := os.Open(o.from)
		if err != nil {
			return nil, err
		}
		src.r, src.file = f, f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			src.size = info.Size()
		}
	} else if err := checkStdin(e.in); err != nil {
		return nil, err
	}
	if o.hasRanges {
		if src.file == nil || o.offset != 0 {
			src.close()
			return nil, e.usagef("--ranges needs --from FILE, and has the offsets itself")
		}
		f, err := os.Open(o.ranges)
		if err != nil {
			src.close()
			return nil, err
		}
		defer f.Close()
		if src.ranges, err = parseRanges(f); err != nil {
			src.close()
			return nil, fmt.Errorf("%s: %w", o.ranges, err)
		}
	}
	return src, nil
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// total is the number of bytes to write, -1 if it is not known.
func (s *source) total() int64 {
	if s.ranges == nil {
		return s.size
	}
	n := int64(0)
	for _, r := range s.ranges {
		n += r.n
	}
	return n
}

// parseRanges reads lines of "OFFSET LENGTH"; empty lines and those that begin with # are left out.
func parseRanges(r io.Reader) ([]byteRange, error) {
	ranges := []byteRange{}
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		var b byteRange
		fields := strings.Fields(text)
		var err error
		if len(fields) == 2 {
			if b.off, err = sizes.Parse(fields[0]); err == nil {
				b.n, err = sizes.Parse(fields[1])
			}
		}
		if len(fields) != 2 || err != nil || b.off > 1<<62 || b.n > 1<<62 {
			return nil, fmt.Errorf("line %d: %q: want OFFSET LENGTH", line, text)
		}
		ranges = append(ranges, b)
	}
	return ranges, s.Err()
}
