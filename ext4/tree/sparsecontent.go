package tree

import "io"

// sparseContent is the data of a sparse member: its ranges, in whole blocks of the image. Ranges that share a block come in
// one piece, with zeros between them.
type sparseContent struct {
	r      io.Reader
	ranges []tarRange // what is left of them
	size   int64
	block  int64
	end    int64 // of the last piece
}

func (s *sparseContent) next(buf []byte) (off int64, n int, err error) {
	for len(s.ranges) > 0 && s.ranges[0].n == 0 {
		s.ranges = s.ranges[1:]
	}
	if len(s.ranges) == 0 {
		return 0, 0, io.EOF
	}
	off = max(s.ranges[0].off/s.block*s.block, s.end)
	limit := int64(len(buf)) // whole blocks, or what is left of the file
	if off+limit < s.size {
		limit = limit / s.block * s.block
	}
	at := int64(0) // bytes of buf that are filled
	for len(s.ranges) > 0 {
		r := &s.ranges[0]
		begin := r.off - off
		if begin >= limit || begin > (at+s.block-1)/s.block*s.block && at > 0 {
			break
		}
		clear(buf[at:begin])
		k := min(r.n, limit-begin)
		if _, err := io.ReadFull(s.r, buf[begin:begin+k]); err != nil {
			return 0, 0, cutShort(err)
		}
		at = begin + k
		if r.off, r.n = r.off+k, r.n-k; r.n > 0 {
			break
		}
		s.ranges = s.ranges[1:]
	}
	end := min((at+s.block-1)/s.block*s.block, limit, s.size-off)
	clear(buf[at:end])
	s.end = off + end
	return off, int(end), nil
}

// cutShort is what the end of a stream means where there should be more.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errTarCut
	}
	return err
}
