package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"ext4img/aio/parttable"
	"ext4img/ext4/layout"
	"ext4img/ext4/tree"
)

// A magic is a text at a place by which a kind of content is known.
type magic struct {
	off  int64 // from the end, if negative
	text string
	what string
}

// magics holds what is worth a name to a user about to overwrite it. Sources: the formats' own documents, as file(1) and blkid(8) use them.
var magics = []magic{
	{0, "QFI\xfb", "a qcow2 disk image"}, {0, "QED\x00", "a QED disk image"}, {0, "vhdxfile", "a VHDX disk image"},
	{0, "conectix", "a VHD disk image"}, {-512, "conectix", "a VHD disk image"}, {0x40, "\x7f\x10\xda\xbe", "a VDI disk image"},
	{0, "KDMV", "a VMDK disk image"}, {0, "# Disk DescriptorFile", "a VMDK description"}, {0, "COWD", "a VMDK disk image"},
	{0, "WithoutFreeSpace", "a Parallels disk image"}, {0, "WithouFreSpacExt", "a Parallels disk image"},
	{0, "LUKS\xba\xbe", "LUKS encrypted data"}, {512, "LABELONE", "an LVM physical volume"}, {0, "\xfc\x4e\x2b\xa9", "a RAID member"},
	{4096, "\xfc\x4e\x2b\xa9", "a RAID member"}, {4086, "SWAPSPACE2", "swap space"}, {65526, "SWAPSPACE2", "swap space"}, {16374, "SWAPSPACE2", "swap space"},
	{0, "XFSB", "an XFS file system"}, {65600, "_BHRfS_M", "a btrfs file system"}, {3, "NTFS    ", "an NTFS file system"}, {3, "EXFAT   ", "an exFAT file system"},
	{54, "FAT", "a FAT file system"}, {82, "FAT32", "a FAT file system"}, {32769, "CD001", "an ISO 9660 file system"}, {0, "hsqs", "a squashfs file system"},
	{1024, "\xe2\xe1\xf5\xe0", "an EROFS file system"}, {1024, "\x10\x20\xf5\xf2", "an F2FS file system"}, {0, "\x45\x3d\xcd\x28", "a cramfs file system"},
	{0, "-rom1fs-", "a romfs file system"}, {4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "a bcachefs file system"},
	{0, "\x1f\x8b", "gzip compressed data"}, {0, "\x28\xb5\x2f\xfd", "zstd compressed data"}, {0, "\xfd7zXZ\x00", "xz compressed data"}, {0, "BZh", "bzip2 compressed data"},
	{0, "\x04\x22\x4d\x18", "lz4 compressed data"}, {0, "PK\x03\x04", "a zip archive"}, {0, "7z\xbc\xaf\x27\x1c", "a 7z archive"}, {257, "ustar", "a tar archive"},
	{0, "070701", "a cpio archive"}, {0, "070702", "a cpio archive"}, {0, "!<arch>\n", "an ar archive"}, {0, "\x7fELF", "an ELF program"}, {0, "#!", "a script"},
	{0, "%PDF-", "a PDF document"}, {0, "SQLite format 3\x00", "an SQLite database"}, {0, "\x89PNG", "a PNG picture"}, {0, "\xff\xd8\xff", "a JPEG picture"},
}

// storage is what may be overwritten.
type storage interface {
	io.ReaderAt
	Size() int64
}

// recognised names what is on a device or in a file; "" if that is nothing known.
func recognised(c storage) (string, error) {
	super, err := peek(c, layout.SuperOffset, layout.SuperSize)
	if err != nil {
		return "", err
	}
	if len(super) == layout.SuperSize {
		if _, err := layout.ParseSuperblock(super); err == nil {
			return "an ext2, ext3 or ext4 file system", nil
		}
	}
	for _, m := range magics {
		off := m.off
		if off < 0 {
			off += c.Size()
		}
		p, err := peek(c, off, len(m.text))
		if err != nil {
			return "", err
		}
		if string(p) == m.text {
			return m.what, nil
		}
	}
	tables, err := parttable.Read(c, 0)
	switch {
	case err == nil:
		return fmt.Sprintf("a partition table (%s, %d partitions)", tables[0].Kind, len(tables[0].Partitions)), nil
	case errors.Is(err, parttable.ErrDamaged):
		return "a damaged partition table", nil
	case errors.Is(err, parttable.ErrNone):
		return "", nil
	}
	return "", err
}

// peek reads at most n bytes at off: what there is.
func peek(c io.ReaderAt, off int64, n int) ([]byte, error) {
	if off < 0 {
		return nil, nil
	}
	p := make([]byte, n)
	got, err := c.ReadAt(p, off)
	if err == io.EOF {
		err = nil
	}
	return p[:got], err
}

// fileContent names what is in a file: what is recognised, else text or data; "" if there is nothing but zeros and holes.
func fileContent(c storage, f *os.File) (string, error) {
	what, err := recognised(c)
	if what != "" || err != nil {
		return what, err
	}
	zero, err := allZero(c, f)
	if zero || err != nil {
		return "", err
	}
	head, err := peek(c, 0, 4096)
	if err != nil {
		return "", err
	}
	if beginsAsText(head) {
		return "text", nil
	}
	return "data that is not known", nil
}

// beginsAsText says whether the beginning of a file is text.
func beginsAsText(p []byte) bool {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 && len(p) >= utf8.UTFMax || r < ' ' && r != '\n' && r != '\t' && r != '\r' && r != '\f' && r != '\b' && r != 0x1b {
			return false
		}
		p = p[n:]
	}
	return true
}

// allZero says whether a file reads as zeros. f, the same file, tells the holes, where the system knows them.
func allZero(c storage, f *os.File) (bool, error) {
	buf, zero := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < c.Size(); {
		start, end, err := tree.NextData(f, off, c.Size())
		if err != nil {
			return false, err
		}
		for off = start; off < end; {
			p := buf[:min(int64(len(buf)), end-off)]
			if n, err := c.ReadAt(p, off); n < len(p) {
				return false, err
			}
			if !bytes.Equal(p, zero[:len(p)]) {
				return false, nil
			}
			off += int64(len(p))
		}
	}
	return true, nil
}
