package check

// Offsets of fields, in bytes from the start of their record, under the kernel's names: fields that have no accessor
// in package layout, and fields that are judged as they are on disk.

// Fields of an inode (struct ext4_inode).
const (
	iUID         = 0x2
	iSizeLo      = 0x4
	iAtime       = 0x8
	iCtime       = 0xC
	iMtime       = 0x10
	iGID         = 0x18
	iBlocksLo    = 0x1C
	iVersion     = 0x24 // osd1: l_i_version; the low half of the references of an EA inode
	iGeneration  = 0x64
	iFileACLLo   = 0x68
	iSizeHigh    = 0x6C
	iObsoFaddr   = 0x70
	iBlocksHigh  = 0x74 // osd2: l_i_blocks_high
	iFileACLHigh = 0x76 // osd2: l_i_file_acl_high
	iChecksumLo  = 0x7C // osd2: l_i_checksum_lo
	iExtraIsize  = 0x80
	iChecksumHi  = 0x82
	iCtimeExtra  = 0x84
	iMtimeExtra  = 0x88
	iAtimeExtra  = 0x8C
	iCrtime      = 0x90
	iCrtimeExtra = 0x94
)

// Fields of the superblock (struct ext4_super_block).
const sPreallocDirBlocks = 0xCD // s_prealloc_dir_blocks

// Fields of a group descriptor (struct ext4_group_desc). A descriptor that ends before one of the ends given here
// stores only the low half of that checksum.
const (
	bgChecksum           = 0x1E
	bgBlockBitmapCsumEnd = 0x3A // after bg_block_bitmap_csum_hi
	bgInodeBitmapCsumEnd = 0x3C // after bg_inode_bitmap_csum_hi
)

// hChecksum is h_checksum in the header of an xattr block (struct ext4_xattr_header).
const hChecksum = 0x10

// Fields of the journal's superblock (struct journal_superblock_s), big-endian.
const (
	jsBlockSize       = 0xC
	jsMaxLen          = 0x10
	jsStart           = 0x1C
	jsErrno           = 0x20
	jsFeatureCompat   = 0x24
	jsFeatureIncompat = 0x28
	jsFeatureROCompat = 0x2C
	jsNrUsers         = 0x40
	jsChecksumType    = 0x50
	jsNumFCBlocks     = 0x54
	jsChecksum        = 0xFC
)
