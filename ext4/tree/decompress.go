package tree

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that a compressed stream may ask for, bytes. zstd and xz stay below it at their highest levels,
// unless they are asked for more by name.
const maxWindow = 128 << 20

// compressions are those that are known by their first bytes.
var compressions = []struct {
	magic, name, program string
	open                 func(r io.Reader) (io.Reader, error) // nil: not here
}{
	{"\x1f\x8b", "gzip", "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"BZh", "bzip2", "bzip2", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"\x28\xb5\x2f\xfd", "zstd", "zstd", openZstd},
	{"\xfd7zXZ\x00", "xz", "xz", func(r io.Reader) (io.Reader, error) { return newXZReader(r) }},
	{"\x04\x22\x4d\x18", "lz4", "lz4", nil},
	{"LZIP", "lzip", "lzip", nil},
	{"\x89LZO\x00\r\n\x1a\n", "lzop", "lzop", nil},
	{"\x1f\x9d", "compress", "uncompress", nil},
	{"\x1f\xa0", "compress -H", "gzip", nil},
	{"\x5d\x00\x00", "lzma", "xz", nil},
}

func openZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// An Archive is a stream that begins as a tar archive: what it decompresses to.
type Archive struct {
	io.Reader
	raw io.Reader // what it is read from
}

// OpenArchive looks at the beginning of a stream: a tar archive as it is, or compressed by gzip, bzip2, xz or zstd. What is
// compressed in another known way is an error that names it; ErrNoArchive for anything else. Windows and dictionaries of more
// than 128 MiB are refused.
func OpenArchive(r io.Reader) (*Archive, error) {
	in, err := decompress(r)
	if err != nil {
		return nil, err
	}
	return &Archive{in, r}, nil
}

// drain reads what follows the end of an archive: a program that writes into a pipe is to see no error, and a checksum at
// the end of a compressed stream is to be compared. Bytes that are no compressed stream may follow one; those of a file
// are not read.
func (a *Archive) drain() error {
	_, err := io.Copy(io.Discard, a.Reader)
	if isTrailer(err) {
		err = nil
	}
	if _, file := a.raw.(io.Seeker); err == nil && !file {
		_, err = io.Copy(io.Discard, a.raw)
	}
	return err
}

// decompress finds out what a stream is, and undoes compressions.
func decompress(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 1<<18)
	for range 3 { // compressed twice is all that anybody has done
		head, err := in.Peek(tarBlock)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if len(head) == tarBlock && (tarChecksumOK((*[tarBlock]byte)(head)) || bytes.Equal(head, make([]byte, tarBlock))) {
			return in, nil
		}
		out, err := unpack(in, head)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return nil, ErrNoArchive
		}
		in = bufio.NewReaderSize(out, 1<<18)
	}
	return nil, ErrNoArchive
}

// unpack opens the stream that begins with head, nil if it is not compressed.
func unpack(in io.Reader, head []byte) (io.Reader, error) {
	for _, c := range compressions {
		if !bytes.HasPrefix(head, []byte(c.magic)) {
			continue
		}
		if c.open == nil {
			return nil, fmt.Errorf("compressed by %s, which is not read here: %s -dc ARCHIVE | ext4img import --tar - …", c.name, c.program)
		}
		out, err := c.open(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		return &unpacked{out, c.name}, nil
	}
	return nil, nil
}

// isTrailer tells the error of a stream behind which something else stands.
func isTrailer(err error) bool {
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, zstd.ErrMagicMismatch) || errors.As(err, new(bzip2.StructuralError))
}

// unpacked names the compression in errors.
type unpacked struct {
	r    io.Reader
	name string
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", u.name, err)
	}
	return n, err
}
