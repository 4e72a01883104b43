package layout

import (
	"strings"

	"ext4img/aio/block"
)

// SuperSize is the size of the superblock in bytes; SuperOffset is where the primary one starts on the device.
const (
	SuperSize   = 1024
	SuperOffset = 1024
	SuperMagic  = 0xEF53
)

// Values of s_state.
const (
	StateClean   = 1 // cleanly closed
	StateErrors  = 2 // errors were seen
	StateOrphans = 4 // orphans are being recovered
)

// ChecksumCRC32C is the one value of s_checksum_type.
const ChecksumCRC32C = 1

// Values of s_flags.
const (
	FlagSignedHash   = 1
	FlagUnsignedHash = 2
	FlagTestFS       = 4
)

// Superblock is a view on the 1,024 bytes of a superblock.
type Superblock []byte

// ParseSuperblock makes a view of the first 1,024 bytes of p. It checks only the magic number: NewGeometry judges the
// rest.
func ParseSuperblock(p []byte) (Superblock, error) {
	if len(p) < SuperSize {
		return nil, Corruptf("superblock: %d bytes, want %d", len(p), SuperSize)
	}
	s := Superblock(p[:SuperSize:SuperSize])
	if s.Magic() != SuperMagic {
		return nil, Corruptf("superblock: magic %#x, want %#x: not an ext2, ext3 or ext4 file system", s.Magic(), SuperMagic)
	}
	return s, nil
}

// FeatureCompat is s_feature_compat.
func (s Superblock) FeatureCompat() Compat { return Compat(le.Uint32(s[0x5C:])) }

// SetFeatureCompat sets s_feature_compat.
func (s Superblock) SetFeatureCompat(f Compat) { le.PutUint32(s[0x5C:], uint32(f)) }

// FeatureIncompat is s_feature_incompat.
func (s Superblock) FeatureIncompat() Incompat { return Incompat(le.Uint32(s[0x60:])) }

// SetFeatureIncompat sets s_feature_incompat.
func (s Superblock) SetFeatureIncompat(f Incompat) { le.PutUint32(s[0x60:], uint32(f)) }

// FeatureROCompat is s_feature_ro_compat.
func (s Superblock) FeatureROCompat() ROCompat { return ROCompat(le.Uint32(s[0x64:])) }

// SetFeatureROCompat sets s_feature_ro_compat.
func (s Superblock) SetFeatureROCompat(f ROCompat) { le.PutUint32(s[0x64:], uint32(f)) }

// has64 reports whether block counts have high halves.
func (s Superblock) has64() bool { return s.FeatureIncompat()&Incompat64Bit != 0 }

func (s Superblock) split(lo, hi int) uint64 {
	if !s.has64() {
		return uint64(le.Uint32(s[lo:]))
	}
	return lohi(le.Uint32(s[lo:]), le.Uint32(s[hi:]))
}

func (s Superblock) setSplit(lo, hi int, v uint64) {
	le.PutUint32(s[lo:], uint32(v))
	if s.has64() {
		le.PutUint32(s[hi:], uint32(v>>32))
	}
}

// BlocksCount is s_blocks_count: the number of blocks.
func (s Superblock) BlocksCount() uint64 { return s.split(0x4, 0x150) }

// SetBlocksCount sets s_blocks_count.
func (s Superblock) SetBlocksCount(v uint64) { s.setSplit(0x4, 0x150, v) }

// ReservedBlocksCount is s_r_blocks_count: blocks that only the privileged user may take.
func (s Superblock) ReservedBlocksCount() uint64 { return s.split(0x8, 0x154) }

// SetReservedBlocksCount sets s_r_blocks_count.
func (s Superblock) SetReservedBlocksCount(v uint64) { s.setSplit(0x8, 0x154, v) }

// FreeBlocksCount is s_free_blocks_count, in blocks also with bigalloc.
func (s Superblock) FreeBlocksCount() uint64 { return s.split(0xC, 0x158) }

// SetFreeBlocksCount sets s_free_blocks_count, in blocks.
func (s Superblock) SetFreeBlocksCount(v uint64) { s.setSplit(0xC, 0x158, v) }

// UUID is s_uuid, 16 bytes of the superblock itself.
func (s Superblock) UUID() []byte { return s[0x68:0x78:0x78] }

// VolumeName is s_volume_name, up to its first NUL.
func (s Superblock) VolumeName() string { return cstring(s[0x78:0x88]) }

// SetVolumeName sets s_volume_name, cut to 16 bytes.
func (s Superblock) SetVolumeName(name string) { setCstring(s[0x78:0x88], name) }

// LastMounted is s_last_mounted: where it was mounted last.
func (s Superblock) LastMounted() string { return cstring(s[0x88:0xC8]) }

// JournalUUID is s_journal_uuid: of an external journal; all zero for an internal one.
func (s Superblock) JournalUUID() []byte { return s[0xD0:0xE0:0xE0] }

// HashSeed is s_hash_seed: four words that salt the hashes of directories.
func (s Superblock) HashSeed() (seed [4]uint32) {
	for i := range seed {
		seed[i] = le.Uint32(s[0xEC+4*i:])
	}
	return seed
}

// SetHashSeed sets s_hash_seed from the 16 bytes of a UUID.
func (s Superblock) SetHashSeed(seed [16]byte) { copy(s[0xEC:0xFC], seed[:]) }

// JournalBlocks is s_jnl_blocks: a copy of the journal inode's i_block (60 bytes) and its size, high half first.
func (s Superblock) JournalBlocks() []byte { return s[0x10C:0x150:0x150] }

// BackupBGs is s_backup_bgs: the two groups with copies of the superblock, with sparse_super2.
func (s Superblock) BackupBGs() [2]uint32 {
	return [2]uint32{le.Uint32(s[0x24C:]), le.Uint32(s[0x250:])}
}

// SetBackupBGs sets s_backup_bgs.
func (s Superblock) SetBackupBGs(g [2]uint32) {
	le.PutUint32(s[0x24C:], g[0])
	le.PutUint32(s[0x250:], g[1])
}

// ComputeChecksum computes s_checksum.
func (s Superblock) ComputeChecksum() uint32 { return block.Crc32c(^uint32(0), s[:0x3FC]) }

// Seal stores the checksum, if metadata_csum is set.
func (s Superblock) Seal() {
	if s.FeatureROCompat()&ROCompatMetadataCsum != 0 {
		s.SetChecksum(s.ComputeChecksum())
	}
}

// VerifyChecksum compares the checksum, if metadata_csum is set.
func (s Superblock) VerifyChecksum() error {
	if s.FeatureROCompat()&ROCompatMetadataCsum == 0 {
		return nil
	}
	if got, want := s.Checksum(), s.ComputeChecksum(); got != want {
		return csumError("superblock", got, want)
	}
	return nil
}

// SuperType is the buf.Type of the primary superblock.
type SuperType struct{}

// String names the object in errors: buf.Type.
func (SuperType) String() string { return "superblock" }

// Verify checks magic and checksum.
func (t SuperType) Verify(p []byte) error {
	if err := t.Check(p); err != nil {
		return err
	}
	return Superblock(p).VerifyChecksum()
}

// Check checks size and magic.
func (SuperType) Check(p []byte) error {
	_, err := ParseSuperblock(p)
	return err
}

// Seal stores the checksum.
func (SuperType) Seal(p []byte) { Superblock(p).Seal() }

func cstring(p []byte) string {
	s, _, _ := strings.Cut(string(p), "\x00")
	return s
}

func setCstring(p []byte, s string) {
	clear(p)
	copy(p, s)
}
