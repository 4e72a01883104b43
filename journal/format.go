package journal

import (
	"encoding/binary"
	"fmt"
	"strings"

	"ext4img/aio/block"
)

// The on-disk records of jbd2, all big endian (Documentation/filesystems/ext4/journal.rst).

const (
	magic = 0xC03B3998 // h_magic

	headerSize = 12   // journal_header_t: h_magic, h_blocktype, h_sequence
	superSize  = 1024 // journal_superblock_t
	tailSize   = 4    // jbd2_journal_block_tail, with checksums of version 2 and 3
	uuidSize   = 16
	revokeHead = 16 // jbd2_journal_revoke_header_t: header, r_count

	minBlockSize = 1024
	maxBlockSize = 65536
)

// h_blocktype
const (
	typeDescriptor = 1
	typeCommit     = 2
	typeSuperV1    = 3
	typeSuperV2    = 4
	typeRevoke     = 5
)

// t_flags
const (
	tagEscape   = 1 // the block's first four bytes were the magic, and are zero in the log
	tagSameUUID = 2 // no UUID follows
	tagDeleted  = 4
	tagLast     = 8
)

// Checksum types: h_chksum_type and s_checksum_type.
const (
	checksumCRC32  = 1
	checksumCRC32C = 4
)

// Commit block (struct commit_header).
const (
	commitChksumType = 0x0C
	commitChksumSize = 0x0D
	commitChksum     = 0x10 // h_chksum[8]
	commitSec        = 0x30 // h_commit_sec
	commitNsec       = 0x38 // h_commit_nsec
	commitSize       = 0x3C
)

// compatChecksum is JBD2_FEATURE_COMPAT_CHECKSUM: a version 1 checksum in each commit block.
const compatChecksum = 0x01

const knownFeatures = FeatureRevoke | Feature64Bit | FeatureAsyncCommit | FeatureCsumV2 | FeatureCsumV3 | FeatureFastCommit

var featureNames = [...]string{"revoke", "64bit", "async_commit", "csum_v2", "csum_v3", "fast_commit"}

// String lists the features' names, joined by commas.
func (f Features) String() string {
	var names []string
	for i, n := range featureNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	if rest := f &^ knownFeatures; rest != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint32(rest)))
	}
	return strings.Join(names, ",")
}

func be32(p []byte) uint32 { return binary.BigEndian.Uint32(p) }

func putBE32(p []byte, v uint32) { binary.BigEndian.PutUint32(p, v) }

// A header is the start of every log block except data blocks.
type header struct {
	kind uint32
	tid  TID
}

// parseHeader reports false if the block does not begin with the magic.
func parseHeader(p []byte) (header, bool) {
	if be32(p) != magic {
		return header{}, false
	}
	return header{be32(p[4:]), TID(be32(p[8:]))}, true
}

func putHeader(p []byte, kind uint32, tid TID) {
	putBE32(p, magic)
	putBE32(p[4:], kind)
	putBE32(p[8:], uint32(tid))
}

// A tag is one entry of a descriptor block.
type tag struct {
	block uint64
	flags uint32
	sum   uint32 // with checksums of version 2, only 16 bits
}

// codec knows the format of log blocks under a journal's features.
type codec struct {
	blockSize int
	features  Features
	compat    uint32
	seed      uint32 // of the checksums: CRC-32C of s_uuid
	uuid      [uuidSize]byte
}

func (c *codec) wide() bool      { return c.features&Feature64Bit != 0 }
func (c *codec) csumV3() bool    { return c.features&FeatureCsumV3 != 0 }
func (c *codec) csumV2or3() bool { return c.features&(FeatureCsumV2|FeatureCsumV3) != 0 }
func (c *codec) csumV1() bool    { return c.compat&compatChecksum != 0 }

// tagBytes is the size of a tag without its UUID.
func (c *codec) tagBytes() int {
	if c.csumV3() {
		return 16
	}
	n := 8
	if c.wide() {
		n += 4
	}
	if c.features&FeatureCsumV2 != 0 {
		n += 2
	}
	return n
}

// recordEnd is the offset at which the tags or revoke records of a block end at the latest.
func (c *codec) recordEnd() int {
	if c.csumV2or3() {
		return c.blockSize - tailSize
	}
	return c.blockSize
}

// tagsPerBlock is the number of tags in a full descriptor block that we write.
func (c *codec) tagsPerBlock() int {
	return (c.recordEnd() - headerSize - uuidSize) / c.tagBytes()
}

func (c *codec) revokeBytes() int {
	if c.wide() {
		return 8
	}
	return 4
}

func (c *codec) revokesPerBlock() int { return (c.recordEnd() - revokeHead) / c.revokeBytes() }

// tags decodes a descriptor block. It ends at the last tag or the end of the block, whichever comes first.
func (c *codec) tags(p []byte) []tag {
	var out []tag
	size, end := c.tagBytes(), c.recordEnd()
	for off := headerSize; off+size <= end; {
		t := c.tag(p[off:])
		out = append(out, t)
		off += size
		if t.flags&tagSameUUID == 0 {
			off += uuidSize
		}
		if t.flags&tagLast != 0 {
			break
		}
	}
	return out
}

func (c *codec) tag(p []byte) tag {
	t := tag{block: uint64(be32(p))}
	if c.csumV3() {
		t.flags = be32(p[4:]) & 0xFFFF // the high half may hold old bytes: some writers do not clear it
		t.sum = be32(p[12:])
	} else {
		t.sum = uint32(binary.BigEndian.Uint16(p[4:]))
		t.flags = uint32(binary.BigEndian.Uint16(p[6:]))
	}
	if c.wide() {
		t.block |= uint64(be32(p[8:])) << 32
	}
	return t
}

func (c *codec) putTag(p []byte, t tag) {
	putBE32(p, uint32(t.block))
	if c.csumV3() {
		putBE32(p[4:], t.flags)
		putBE32(p[8:], 0)
		putBE32(p[12:], t.sum)
	} else {
		binary.BigEndian.PutUint16(p[4:], uint16(t.sum))
		binary.BigEndian.PutUint16(p[6:], uint16(t.flags))
	}
	if c.wide() {
		putBE32(p[8:], uint32(t.block>>32))
	}
}

// dataSum is the checksum in the tag of a data block, over the bytes as they are in the log.
func (c *codec) dataSum(tid TID, p []byte) uint32 {
	if !c.csumV2or3() {
		return 0
	}
	var seq [4]byte
	putBE32(seq[:], uint32(tid))
	sum := block.Crc32c(block.Crc32c(c.seed, seq[:]), p)
	if !c.csumV3() {
		sum &= 0xFFFF
	}
	return sum
}

// tailOK verifies the checksum at the end of a descriptor or revoke block.
func (c *codec) tailOK(p []byte) bool {
	if !c.csumV2or3() {
		return true
	}
	off := c.blockSize - tailSize
	return be32(p[off:]) == sumWithHole(c.seed, p[:c.blockSize], off)
}

func (c *codec) sealTail(p []byte) {
	if c.csumV2or3() {
		off := c.blockSize - tailSize
		putBE32(p[off:], sumWithHole(c.seed, p[:c.blockSize], off))
	}
}

// commitOK verifies a commit block's own checksum (versions 2 and 3). If a write tore the commit block after its
// first sector, old bytes may follow. The block still counts as whole, because only zeros follow the header there. So
// commitOK also tries the checksum with zeros in place of those bytes.
func (c *codec) commitOK(p []byte) bool {
	if !c.csumV2or3() {
		return true
	}
	want := be32(p[commitChksum:])
	if want == sumWithHole(c.seed, p[:c.blockSize], commitChksum) {
		return true
	}
	whole := make([]byte, c.blockSize)
	copy(whole, p[:commitSize])
	return want == sumWithHole(c.seed, whole, commitChksum)
}

// revokes decodes a revoke block, or reports that r_count is impossible.
func (c *codec) revokes(p []byte) ([]uint64, bool) {
	count, size := int64(be32(p[headerSize:])), c.revokeBytes()
	if count < revokeHead || count > int64(c.recordEnd()) || (count-revokeHead)%int64(size) != 0 {
		return nil, false
	}
	out := make([]uint64, 0, (int(count)-revokeHead)/size)
	for off := revokeHead; off < int(count); off += size {
		if size == 8 {
			out = append(out, binary.BigEndian.Uint64(p[off:]))
		} else {
			out = append(out, uint64(be32(p[off:])))
		}
	}
	return out, true
}
