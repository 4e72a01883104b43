package journal

import (
	"fmt"

	"ext4img/aio/block"
)

// Offsets in the journal superblock (journal_superblock_t).
const (
	sBlocktype    = 0x04
	sBlocksize    = 0x0C
	sMaxlen       = 0x10
	sFirst        = 0x14
	sSequence     = 0x18
	sStart        = 0x1C
	sErrno        = 0x20
	sCompat       = 0x24
	sIncompat     = 0x28
	sROCompat     = 0x2C
	sUUID         = 0x30
	sNrUsers      = 0x40
	sChecksumType = 0x50
	sNumFCBlocks  = 0x54
	sChecksum     = 0xFC

	defaultFastBlocks = 256  // JBD2_DEFAULT_FAST_COMMIT_BLOCKS
	minLogWithFast    = 1024 // JBD2_MIN_JOURNAL_BLOCKS: no fast commit area if less than this remains for the log
)

// A super is the journal superblock's block.
type super []byte

func (s super) version1() bool     { return be32(s[sBlocktype:]) == typeSuperV1 }
func (s super) maxlen() uint32     { return be32(s[sMaxlen:]) }
func (s super) first() uint32      { return be32(s[sFirst:]) }
func (s super) sequence() TID      { return TID(be32(s[sSequence:])) }
func (s super) start() uint32      { return be32(s[sStart:]) }
func (s super) errno() int32       { return int32(be32(s[sErrno:])) }
func (s super) compat() uint32     { return s.v2(sCompat) }
func (s super) features() Features { return Features(s.v2(sIncompat)) }

// v2 reads a field that only version 2 has.
func (s super) v2(off int) uint32 {
	if s.version1() {
		return 0
	}
	return be32(s[off:])
}

func (s super) hasChecksum() bool { return s.features()&(FeatureCsumV2|FeatureCsumV3) != 0 }

func (s super) checksum() uint32 { return sumWithHole(^uint32(0), s[:superSize], sChecksum) }

func (s super) seal() {
	if s.hasChecksum() {
		s[sChecksumType] = checksumCRC32C
		putBE32(s[sChecksum:], s.checksum())
	}
}

// setState sets the block where the log begins, and its first TID.
func (s super) setState(start uint32, sequence TID) {
	putBE32(s[sStart:], start)
	putBE32(s[sSequence:], uint32(sequence))
}

func (s super) setErrno(errno int32) { putBE32(s[sErrno:], uint32(errno)) }

// upgrade turns a version 1 superblock into version 2, without features.
func (s super) upgrade() {
	if s.version1() {
		putBE32(s[sBlocktype:], typeSuperV2)
		clear(s[sCompat:superSize])
		putBE32(s[sNrUsers:], 1)
	}
}

// setFeatures adds features. A checksum version replaces the older ones, as it does when the kernel mounts.
func (s super) setFeatures(f Features) {
	if f == 0 {
		return
	}
	s.upgrade()
	have := s.features()
	if f&FeatureCsumV3 != 0 {
		have &^= FeatureCsumV2
		putBE32(s[sCompat:], s.compat()&^uint32(compatChecksum))
	}
	putBE32(s[sIncompat:], uint32(have|f))
	s.seal()
}

// last returns the end of the log for full commits: the block after the last one they use. It also returns the first
// block of the fast commit area, which ends at maxlen, or 0 if there is no such area.
func (s super) last() (last, fast uint32) {
	last = s.maxlen()
	if s.features()&FeatureFastCommit == 0 {
		return last, 0
	}
	n := s.v2(sNumFCBlocks)
	if n == 0 {
		n = defaultFastBlocks
	}
	if n > last || last-n < minLogWithFast {
		return last, 0
	}
	return last - n, last - n + 1
}

func (s super) codec(blockSize int) *codec {
	c := &codec{blockSize: blockSize, features: s.features(), compat: s.compat()}
	if !s.version1() {
		copy(c.uuid[:], s[sUUID:])
		c.seed = block.Crc32c(^uint32(0), c.uuid[:])
	}
	return c
}

// check verifies everything about the superblock that does not depend on other log blocks. The log has blocks blocks
// of blockSize bytes, and its superblock is log block at.
func (s super) check(blockSize int, blocks uint64, at uint32) error {
	corrupt := func(format string, args ...any) error {
		return fmt.Errorf("journal superblock: log block %d: %s: %w", at, fmt.Sprintf(format, args...), ErrCorrupt)
	}
	if m := be32(s); m != magic {
		return corrupt("magic 0x%08x, want 0x%08x", m, uint32(magic))
	}
	if t := be32(s[sBlocktype:]); t != typeSuperV1 && t != typeSuperV2 {
		return corrupt("block type %d, want %d or %d", t, typeSuperV1, typeSuperV2)
	}
	if err := s.checkFeatures(at); err != nil {
		return err
	}
	if s.hasChecksum() {
		if t := s[sChecksumType]; t != checksumCRC32C {
			return corrupt("checksum type %d, want %d", t, checksumCRC32C)
		}
		if got, want := be32(s[sChecksum:]), s.checksum(); got != want {
			return corrupt("checksum 0x%08x, want 0x%08x", got, want)
		}
	}
	if n := be32(s[sBlocksize:]); int64(n) != int64(blockSize) {
		return corrupt("block size %d, want %d", n, blockSize)
	}
	if n := s.maxlen(); uint64(n) > blocks {
		return corrupt("%d blocks, the log has %d", n, blocks)
	}
	last, _ := s.last()
	if n := s.first(); n <= at || n >= last {
		return corrupt("first block %d, want %d to %d", n, at+1, last)
	}
	if n := s.start(); n != 0 && (n < s.first() || n >= last) {
		return corrupt("log starts at %d, want %d to %d", n, s.first(), last)
	}
	return nil
}

func (s super) checkFeatures(at uint32) error {
	f := s.features()
	if rest := f &^ knownFeatures; rest != 0 {
		return fmt.Errorf("journal superblock: log block %d: features %v: %w", at, rest, ErrUnsupported)
	}
	if rest := s.v2(sROCompat); rest != 0 {
		return fmt.Errorf("journal superblock: log block %d: read-only features 0x%x: %w", at, rest, ErrUnsupported)
	}
	v2, v3, v1 := f&FeatureCsumV2 != 0, f&FeatureCsumV3 != 0, s.compat()&compatChecksum != 0
	if v2 && v3 || v1 && (v2 || v3) {
		return fmt.Errorf("journal superblock: log block %d: more than one version of checksums: %w", at, ErrCorrupt)
	}
	return nil
}
