package tree

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The container of .xz files: streams of blocks, each with a header that says how much memory it takes. Package xz allocates
// whatever that is; here it is bounded. The blocks themselves are package lzma's.

const (
	xzMagic   = "\xfd7zXZ\x00"
	xzHeader  = 12   // bytes: magic, flags, checksum
	xzLZMA2   = 0x21 // the filter
	xzMaxSize = 9    // bytes of a number
)

var errXZ = errors.New("corrupt")

// xzReader reads the content of a file.
type xzReader struct {
	in    *xzInput
	check byte      // the kind of checksum of the stream's blocks
	block io.Reader // the present block, nil between blocks
	sum   hash.Hash // of its content
	begin int64     // where its data began
}

// xzInput counts what is read.
type xzInput struct {
	*bufio.Reader
	off int64
}

func (i *xzInput) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	i.off += int64(n)
	return n, err
}

func (i *xzInput) ReadByte() (byte, error) {
	c, err := i.Reader.ReadByte()
	if err == nil {
		i.off++
	}
	return c, err
}

func newXZReader(r io.Reader) (*xzReader, error) {
	x := &xzReader{in: &xzInput{Reader: bufio.NewReaderSize(r, 1<<16)}}
	return x, x.stream()
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.block == nil {
			if err := x.next(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		x.sum.Write(p[:n])
		if err == io.EOF {
			err = x.endBlock()
			x.block = nil
		}
		if n > 0 || err != nil {
			return n, noEOF(err)
		}
	}
}

// noEOF makes an end inside of a stream an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// stream reads the header of a stream.
func (x *xzReader) stream() error {
	var h [xzHeader]byte
	if _, err := io.ReadFull(x.in, h[:]); err != nil {
		return noEOF(err)
	}
	if string(h[:6]) != xzMagic || h[6] != 0 || binary.LittleEndian.Uint32(h[8:]) != crc32.ChecksumIEEE(h[6:8]) {
		return errXZ
	}
	x.check = h[7]
	_, err := x.newSum()
	return err
}

// newSum is the checksum of a block, and the bytes it takes.
func (x *xzReader) newSum() (hash.Hash, error) {
	switch x.check {
	case 0:
		return noSum{}, nil
	case 1:
		return crc32.NewIEEE(), nil
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), nil
	case 10:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("checksums of kind %d are not known", x.check)
}

// noSum is no checksum.
type noSum struct{}

func (noSum) Write(p []byte) (int, error) { return len(p), nil }
func (noSum) Sum(b []byte) []byte         { return b }
func (noSum) Reset()                      {}
func (noSum) Size() int                   { return 0 }
func (noSum) BlockSize() int              { return 1 }

// next goes to the next block, of this stream or another one behind it: io.EOF after the last.
func (x *xzReader) next() error {
	for {
		size, err := x.in.ReadByte()
		if err != nil {
			return noEOF(err)
		}
		if size != 0 {
			return x.openBlock(size)
		}
		if err := x.index(); err != nil {
			return noEOF(err)
		}
		for { // what is between streams: zeros, four at a time
			p, err := x.in.Peek(4)
			if len(p) == 0 && err == io.EOF {
				return io.EOF
			}
			if err != nil || !bytes.Equal(p, []byte{0, 0, 0, 0}) {
				break
			}
			_, _ = x.in.Discard(4) // they are in the buffer
		}
		if p, _ := x.in.Peek(len(xzMagic)); string(p) != xzMagic {
			return io.EOF // something else
		}
		if err := x.stream(); err != nil {
			return err
		}
	}
}

// openBlock reads the header of a block, whose first byte is given.
func (x *xzReader) openBlock(first byte) error {
	h := make([]byte, (int(first)+1)*4)
	h[0] = first
	if _, err := io.ReadFull(x.in, h[1:]); err != nil {
		return noEOF(err)
	}
	body := h[:len(h)-4]
	if binary.LittleEndian.Uint32(h[len(body):]) != crc32.ChecksumIEEE(body) || body[1]&0x3C != 0 {
		return errXZ
	}
	if body[1]&3 != 0 {
		return errors.New("filters other than LZMA2: not read here")
	}
	flags, r := body[1], bytes.NewReader(body[2:])
	for _, bit := range []byte{0x40, 0x80} { // the sizes, packed and unpacked
		if flags&bit != 0 {
			if _, err := xzNumber(r); err != nil {
				return err
			}
		}
	}
	id, e1 := xzNumber(r)
	n, e2 := xzNumber(r)
	code, e3 := r.ReadByte()
	if err := errors.Join(e1, e2, e3); err != nil || id != xzLZMA2 || n != 1 {
		return fmt.Errorf("filter %#x: not read here", id)
	}
	window, err := lzma.DecodeDictCap(code)
	if err != nil {
		return err
	}
	if window > maxWindow {
		return fmt.Errorf("a dictionary of %d bytes, more than %d", window, maxWindow)
	}
	if x.sum, err = x.newSum(); err != nil {
		return err
	}
	x.begin = x.in.off
	x.block, err = lzma.Reader2Config{DictCap: max(int(window), lzma.MinDictCap)}.NewReader2(x.in)
	return err
}

// endBlock compares the checksum of a block.
func (x *xzReader) endBlock() error {
	for (x.in.off-x.begin)%4 != 0 {
		if c, err := x.in.ReadByte(); err != nil || c != 0 {
			return errors.Join(errXZ, noEOF(err))
		}
	}
	want := make([]byte, x.sum.Size())
	if _, err := io.ReadFull(x.in, want); err != nil {
		return noEOF(err)
	}
	got := x.sum.Sum(nil)
	if x.check == 1 || x.check == 4 { // lowest byte first
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("checksum: %w", errXZ)
	}
	return nil
}

// index reads what stands behind the last block of a stream.
func (x *xzReader) index() error {
	begin := x.in.off - 1
	sum := crc32.NewIEEE()
	sum.Write([]byte{0})
	r := &summing{x.in, sum}
	records, err := xzNumber(r)
	for ; records > 0 && err == nil; records-- {
		if _, err = xzNumber(r); err == nil {
			_, err = xzNumber(r)
		}
	}
	for err == nil && (x.in.off-begin)%4 != 0 {
		_, err = r.ReadByte()
	}
	if err != nil {
		return err
	}
	var tail [4 + xzHeader]byte
	if _, err := io.ReadFull(x.in, tail[:]); err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint32(tail[:]) != sum.Sum32() || string(tail[14:]) != "YZ" || le.Uint32(tail[4:]) != crc32.ChecksumIEEE(tail[8:14]) {
		return errXZ
	}
	return nil
}

// summing adds the bytes that are read to a checksum.
type summing struct {
	io.ByteReader
	sum hash.Hash
}

func (s *summing) ReadByte() (byte, error) {
	c, err := s.ByteReader.ReadByte()
	if err == nil {
		s.sum.Write([]byte{c})
	}
	return c, err
}

// xzNumber reads a number: seven bits a byte, the lowest first.
func xzNumber(r io.ByteReader) (n uint64, err error) {
	for i := range xzMaxSize {
		c, err := r.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		n |= uint64(c&0x7F) << (7 * i)
		if c&0x80 == 0 {
			return n, nil
		}
	}
	return 0, errXZ
}
