package check

// A Code names a kind of problem by what is wrong. Codes are stable: scripts may depend on them.
type Code string

// Severity says how serious a problem is.
type Severity string

// The severities.
const (
	Error Severity = "error" // makes e2fsck -fn report errors
	Extra Severity = "extra" // wrong, but e2fsck -fn does not notice or does not count it
	Note  Severity = "note"  // worth knowing; never counts
)

// Text says what the code means, in words.
func (c Code) Text() string { return codes[c].text }

// Severity is the severity of problems with the code.
func (c Code) Severity() Severity { return codes[c].severity }

// Pass is the pass that finds problems with the code.
func (c Code) Pass() int { return codes[c].pass }

// Codes lists all codes in the order of the passes.
func Codes() []Code {
	out := make([]Code, len(codeTable))
	for i, k := range codeTable {
		out[i] = k.code
	}
	return out
}

// A codeInfo is the description of a code.
type codeInfo struct {
	code     Code
	pass     int
	severity Severity
	text     string
}

// codes maps each code to its description.
var codes = func() map[Code]codeInfo {
	m := map[Code]codeInfo{}
	for _, k := range codeTable {
		m[k.code] = k
	}
	return m
}()

// The codes.
const (
	codeSuperBad             Code = "super-bad"
	codeDescsBad             Code = "descriptors-bad"
	codeSuperValue           Code = "super-value"
	codeInodesCount          Code = "super-inodes-count"
	codeFeatureUnknown       Code = "feature-unknown"
	codeFeatureConflict      Code = "feature-conflict"
	codeEncodingUnknown      Code = "encoding-unknown"
	codeDeviceSmall          Code = "device-too-small"
	codeMinExtraIsize        Code = "super-min-extra-isize"
	codeWantExtraIsize       Code = "super-want-extra-isize"
	codeFirstMetaBG          Code = "super-first-meta-bg"
	codeBlockBitmapPlace     Code = "descriptor-block-bitmap-place"
	codeInodeBitmapPlace     Code = "descriptor-inode-bitmap-place"
	codeInodeTablePlace      Code = "descriptor-inode-table-place"
	codeDescCounts           Code = "descriptor-counts"
	codeDescChecksum         Code = "descriptor-checksum"
	codeDescUnused           Code = "descriptor-unused-inodes"
	codeDescUninit           Code = "descriptor-uninit-without-checksum"
	codeDescLastUninit       Code = "descriptor-last-uninit"
	codeQuotaInode           Code = "quota-inode-number"
	codeReservedGDT          Code = "reserved-gdt-without-resize"
	codeResizeNotClear       Code = "resize-inode-not-clear"
	codeResizeInode          Code = "resize-inode-invalid"
	codeMMPPlace             Code = "mmp-place"
	codeErrorsSeen           Code = "errors-seen"
	codeMMPMagic             Code = "mmp-magic"
	codeMMPChecksum          Code = "mmp-checksum"
	codeMMPInUse             Code = "mmp-in-use"
	codeJournalUUID          Code = "journal-uuid"
	codeJournalExternal      Code = "journal-external"
	codeJournalInode         Code = "journal-inode-invalid"
	codeJournalInodeDirty    Code = "journal-inode-invalid-dirty"
	codeJournalSuper         Code = "journal-super-invalid"
	codeJournalSuperDirty    Code = "journal-super-invalid-dirty"
	codeRecoverNoJournal     Code = "recover-without-journal"
	codeHasJournalClear      Code = "has-journal-clear"
	codeJournalNotEmpty      Code = "journal-not-empty"
	codeJournalErrno         Code = "journal-errno"
	codeRecovery             Code = "journal-recovery"
	codeLogBlock             Code = "journal-log"
	codeFastCommits          Code = "journal-fast-commits"
	codeTableMissing         Code = "table-missing"
	codeInodeTableConflict   Code = "inode-table-conflict"
	codeBlockBitmapConflict  Code = "block-bitmap-conflict"
	codeInodeBitmapConflict  Code = "inode-bitmap-conflict"
	codeTableUnreadable      Code = "inode-table-unreadable"
	codeBlockBitmapBad       Code = "block-bitmap-bad-block"
	codeInodeBitmapBad       Code = "inode-bitmap-bad-block"
	codeBadBlocksInode       Code = "bad-blocks-inode"
	codeBadBlockIllegal      Code = "bad-block-illegal"
	codeBadBlockMetadata     Code = "bad-block-map-metadata"
	codeBadBlockMap          Code = "bad-block-map-in-use"
	codeBadBlockSuper        Code = "bad-block-super"
	codeBadBlockBackup       Code = "bad-block-backup"
	codeBadBlocksInBad       Code = "bad-blocks-inode-bad"
	codeInodeChecksum        Code = "inode-checksum"
	codeLowDtime             Code = "inode-dtime-is-inode"
	codeZeroDtime            Code = "inode-dtime-zero"
	codeDtimeInUse           Code = "inode-dtime-in-use"
	codeRootDtime            Code = "root-dtime"
	codeRootNotDir           Code = "root-not-directory"
	codeReservedMode         Code = "reserved-inode-mode"
	codeJournalMode          Code = "journal-inode-mode"
	codeJournalNotClear      Code = "journal-inode-not-clear"
	codeQuotaMode            Code = "quota-inode-mode"
	codeQuotaNotClear        Code = "quota-inode-not-clear"
	codeOrphanFileMode       Code = "orphan-file-mode"
	codeOrphanFileNotClear   Code = "orphan-file-not-clear"
	codeCasefoldNonDir       Code = "casefold-not-directory"
	codeCasefoldFeature      Code = "casefold-feature"
	codeInlineAndExtents     Code = "inline-and-extents"
	codeInlineFeature        Code = "inline-feature"
	codeInlineNoAttr         Code = "inline-no-attribute"
	codeExtentsFeature       Code = "extents-feature"
	codeExtentsFlagMissing   Code = "extents-flag-missing"
	codeImagic               Code = "imagic-feature"
	codeExtraIsize           Code = "inode-extra-isize"
	codeTime                 Code = "inode-time"
	codeSpecialFlags         Code = "special-flags"
	codeSpecialImmutable     Code = "special-immutable"
	codeSpecialSize          Code = "special-size"
	codeLooksLikeDir         Code = "looks-like-directory"
	codeSymlinkExtents       Code = "symlink-extents"
	codeEncryptionMissing    Code = "encryption-missing"
	codeEncryptionCorrupt    Code = "encryption-corrupt"
	codeXattrCollision       Code = "xattr-collision"
	codeXattrName            Code = "xattr-name"
	codeXattrClass           Code = "xattr-class"
	codeXattrValue           Code = "xattr-value"
	codeXattrHash            Code = "xattr-hash"
	codeXattrInode           Code = "xattr-inode"
	codeXattrInodeFlag       Code = "xattr-inode-flag"
	codeXattrBlockUnreadable Code = "xattr-block-unreadable"
	codeXattrBlockMagic      Code = "xattr-block-magic"
	codeXattrBlockBlocks     Code = "xattr-block-blocks"
	codeXattrBlockChecksum   Code = "xattr-block-checksum"
	codeXattrRefcount        Code = "xattr-block-refcount"
	codeExtentHeader         Code = "extent-header"
	codeExtentDepth          Code = "extent-depth"
	codeExtentNode           Code = "extent-node"
	codeExtentNodeDepth      Code = "extent-node-depth"
	codeExtentChecksum       Code = "extent-node-checksum"
	codeExtentIndexStart     Code = "extent-index-start"
	codeExtentStart          Code = "extent-start"
	codeExtentEnd            Code = "extent-end"
	codeExtentEmpty          Code = "extent-empty"
	codeExtentOrder          Code = "extent-order"
	codeExtentBounds         Code = "extent-bounds"
	codeExtentOverlap        Code = "extent-overlap"
	codeExtentUnwrittenDir   Code = "extent-unwritten-directory"
	codeMetadataCollision    Code = "metadata-collision"
	codeBlockIllegal         Code = "block-illegal"
	codeBlockUnreadable      Code = "block-unreadable"
	codeFileTooBig           Code = "file-too-big"
	codeDirTooBig            Code = "directory-too-big"
	codeDirGap               Code = "directory-gap"
	codeDirEmpty             Code = "directory-empty"
	codeClusterMisaligned    Code = "cluster-misaligned"
	codeBigallocBlockMap     Code = "bigalloc-block-map"
	codeIndexNonDir          Code = "index-not-directory"
	codeIndexFeature         Code = "index-feature"
	codeIndexRoot            Code = "index-root"
	codeIndexHash            Code = "index-hash-version"
	codeIndexFlags           Code = "index-flags"
	codeIndexDepth           Code = "index-depth"
	codeSize                 Code = "inode-size"
	codeBlockCount           Code = "inode-blocks"
	codeLargeDirFeature      Code = "large-dir-feature"
	codeBlockClaimedTwice    Code = "block-claimed-twice"
	codeClaimedOften         Code = "blocks-claimed-too-often"
	codeDirHole              Code = "directory-hole"
	codeDirCorrupt           Code = "directory-corrupt"
	codeDirChecksum          Code = "directory-checksum"
	codeDirNoChecksum        Code = "directory-checksum-missing"
	codeInlineDirSize        Code = "inline-directory-size"
	codeDotMissing           Code = "dot-missing"
	codeDotName              Code = "dot-name"
	codeDotNul               Code = "dot-nul"
	codeDotInode             Code = "dot-inode"
	codeDotLong              Code = "dot-long"
	codeDotDotMissing        Code = "dotdot-missing"
	codeDotDotName           Code = "dotdot-name"
	codeDotDotNul            Code = "dotdot-nul"
	codeEntrySelf            Code = "entry-self"
	codeEntryInode           Code = "entry-inode"
	codeEntryBadBlock        Code = "entry-bad-block"
	codeEntryDotAgain        Code = "entry-dot-again"
	codeEntryRoot            Code = "entry-root"
	codeEntryNoName          Code = "entry-no-name"
	codeEntryUninit          Code = "entry-inode-uninit"
	codeEntryUnusedArea      Code = "entry-inode-unused-area"
	codeEntryUnused          Code = "entry-inode-unused"
	codeEntryType            Code = "entry-type"
	codeEntryTypeMissing     Code = "entry-type-missing"
	codeEntryTypeSet         Code = "entry-type-set"
	codeEntryName            Code = "entry-name"
	codeEntryEncoding        Code = "entry-encoding"
	codeEntryCipherShort     Code = "entry-encrypted-short"
	codeEntryPlain           Code = "entry-not-encrypted"
	codeEntryPolicy          Code = "entry-policy"
	codeEntryDirTwice        Code = "entry-directory-twice"
	codeEntryDuplicate       Code = "entry-duplicate"
	codeIndexChecksum        Code = "index-checksum"
	codeIndexLimit           Code = "index-limit"
	codeIndexCount           Code = "index-count"
	codeIndexBlock           Code = "index-block"
	codeIndexOrder           Code = "index-order"
	codeIndexRange           Code = "index-range"
	codeIndexLeafDepth       Code = "index-leaf-depth"
	codeIndexUnreferenced    Code = "index-unreferenced"
	codeIndexTwice           Code = "index-referenced-twice"
	codeModeInvalid          Code = "inode-mode"
	codeDeviceInvalid        Code = "device-invalid"
	codeSymlinkInvalid       Code = "symlink-invalid"
	codeFieldNotZero         Code = "inode-field-not-zero"
	codeXattrFeature         Code = "xattr-feature"
	codeXattrBlockIllegal    Code = "xattr-block-illegal"
	codeLargeFileFeature     Code = "large-file-feature"
	codeNoRoot               Code = "root-missing"
	codeDirUnconnected       Code = "directory-unconnected"
	codeDotDotWrong          Code = "dotdot-wrong"
	codeUnattached           Code = "inode-unattached"
	codeLinkCount            Code = "inode-links"
	codeDirNlinkFeature      Code = "dir-nlink-feature"
	codeXattrInodeRefs       Code = "xattr-inode-references"
	codeBitmapUnreadable     Code = "bitmap-unreadable"
	codeBlockNotMarked       Code = "block-not-marked"
	codeBlockMarked          Code = "block-marked"
	codeBlockUninitUsed      Code = "block-uninit-in-use"
	codeBlockBitmapChecksum  Code = "block-bitmap-checksum"
	codeBlockBitmapPadding   Code = "block-bitmap-padding"
	codeInodeNotMarked       Code = "inode-not-marked"
	codeInodeMarked          Code = "inode-marked"
	codeInodeUninitUsed      Code = "inode-uninit-in-use"
	codeInodeBitmapChecksum  Code = "inode-bitmap-checksum"
	codeInodeBitmapPadding   Code = "inode-bitmap-padding"
	codeGroupFreeBlocks      Code = "group-free-blocks"
	codeGroupFreeInodes      Code = "group-free-inodes"
	codeGroupDirs            Code = "group-directories"
	codeFreeBlocks           Code = "super-free-blocks"
	codeFreeInodes           Code = "super-free-inodes"
	codeOrphanPresentNoFile  Code = "orphan-present-no-file"
	codeOrphanPresentClean   Code = "orphan-present-clean"
	codeOrphanFileNoJournal  Code = "orphan-file-no-journal"
	codeOrphanFile           Code = "orphan-file"
	codeOrphanList           Code = "orphan-list"
	codeQuotaFile            Code = "quota-file"
	codeQuotaMagic           Code = "quota-magic"
	codeQuotaUsage           Code = "quota-usage"
)

var codeTable = []codeInfo{
	{codeSuperBad, 0, Extra, "the primary superblock is unusable; a backup was used"},
	{codeDescsBad, 0, Extra, "the primary descriptors cannot be right; those behind a backup superblock were tried"},
	{codeSuperValue, 0, Extra, "a value of the superblock is out of range"},
	{codeInodesCount, 0, Error, "s_inodes_count is not inodes per group times groups"},
	{codeFeatureUnknown, 0, Error, "features that are not known"},
	{codeFeatureConflict, 0, Extra, "features that exclude or need each other"},
	{codeEncodingUnknown, 0, Error, "the encoding of names is not known"},
	{codeDeviceSmall, 0, Extra, "the device has fewer blocks than the file system"},
	{codeMinExtraIsize, 0, Extra, "s_min_extra_isize is impossible"},
	{codeWantExtraIsize, 0, Extra, "s_want_extra_isize is impossible"},
	{codeFirstMetaBG, 0, Extra, "s_first_meta_bg is larger than the number of descriptor blocks"},
	{codeBlockBitmapPlace, 0, Extra, "block bitmap outside of its group"},
	{codeInodeBitmapPlace, 0, Extra, "inode bitmap outside of its group"},
	{codeInodeTablePlace, 0, Extra, "inode table outside of its group"},
	{codeDescCounts, 0, Extra, "impossible counts in the descriptor"},
	{codeDescChecksum, 0, Extra, "the descriptor has a wrong checksum"},
	{codeDescUnused, 0, Extra, "more unused than free inodes in the descriptor"},
	{codeDescUninit, 0, Extra, "uninitialized parts without checksums of descriptors"},
	{codeDescLastUninit, 0, Extra, "the last group has an uninitialized block bitmap"},
	{codeQuotaInode, 0, Extra, "the inode cannot be a quota file"},
	{codeReservedGDT, 0, Extra, "blocks reserved for descriptors without resize_inode"},
	{codeResizeNotClear, 0, Extra, "blocks in the resize inode without resize_inode"},
	{codeResizeInode, 0, Extra, "the resize inode is invalid"},
	{codeErrorsSeen, 0, Extra, "errors were seen while the file system was in use"},
	{codeMMPPlace, 0, Error, "the MMP block is nowhere"},
	{codeMMPMagic, 0, Error, "the MMP block has a wrong magic number"},
	{codeMMPChecksum, 0, Error, "the MMP block has a wrong checksum"},
	{codeMMPInUse, 0, Extra, "the file system is in use, or was when its computer crashed"},
	{codeJournalUUID, 0, Error, "the UUID of an external journal without one, or beside a journal inode"},
	{codeJournalExternal, 0, Note, "the journal is on another device, and was not looked at"},
	{codeJournalInode, 0, Error, "the journal inode is invalid"},
	{codeJournalInodeDirty, 0, Extra, "the journal inode is invalid, and the journal was to be recovered"},
	{codeJournalSuper, 0, Error, "the journal superblock is invalid"},
	{codeJournalSuperDirty, 0, Extra, "the journal superblock is invalid, and the journal was to be recovered"},
	{codeRecoverNoJournal, 0, Error, "needs_recovery without a journal"},
	{codeHasJournalClear, 0, Extra, "a journal without the feature has_journal"},
	{codeJournalNotEmpty, 0, Extra, "transactions in the journal without needs_recovery"},
	{codeJournalErrno, 0, Extra, "the journal was aborted with an error"},
	{codeRecovery, 0, Extra, "the journal cannot be recovered"},
	{codeLogBlock, 0, Extra, "a log block has a wrong checksum, and committed transactions follow"},
	{codeFastCommits, 0, Note, "fast commits were left out"},
	{codeTableMissing, 1, Error, "no block for a bitmap or the inode table"},
	{codeInodeTableConflict, 1, Error, "the inode table lies on other metadata"},
	{codeBlockBitmapConflict, 1, Error, "the block bitmap lies on other metadata"},
	{codeInodeBitmapConflict, 1, Error, "the inode bitmap lies on other metadata"},
	{codeTableUnreadable, 1, Extra, "the inode table cannot be read"},
	{codeBlockBitmapBad, 1, Error, "the block bitmap is in a bad block"},
	{codeInodeBitmapBad, 1, Error, "the inode bitmap is in a bad block"},
	{codeBadBlocksInode, 1, Error, "the inode of bad blocks has fields that it should not have"},
	{codeBadBlockIllegal, 1, Error, "a bad block that is no block"},
	{codeBadBlockMetadata, 1, Error, "a map block of the bad blocks lies on metadata"},
	{codeBadBlockMap, 1, Error, "a map block of the bad blocks is a bad block itself"},
	{codeBadBlockSuper, 1, Error, "a bad block in the primary superblock or descriptors"},
	{codeBadBlockBackup, 1, Note, "a bad block in a backup of superblock or descriptors"},
	{codeBadBlocksInBad, 1, Error, "the inode of bad blocks is in a bad block"},
	{codeInodeChecksum, 1, Error, "the inode has a wrong checksum"},
	{codeLowDtime, 1, Error, "the deletion time is an inode number: it was on an orphan list"},
	{codeZeroDtime, 1, Error, "deleted, but without a time of deletion"},
	{codeDtimeInUse, 1, Error, "in use, but with a time of deletion"},
	{codeRootDtime, 1, Error, "the root directory has a time of deletion"},
	{codeRootNotDir, 1, Error, "the root is no directory"},
	{codeReservedMode, 1, Error, "a reserved inode with a type"},
	{codeJournalMode, 1, Error, "the journal is no regular file"},
	{codeJournalNotClear, 1, Error, "the journal inode is not used, but not empty"},
	{codeQuotaMode, 1, Error, "a quota file is no regular file"},
	{codeQuotaNotClear, 1, Error, "a quota inode is not used, but not empty"},
	{codeOrphanFileMode, 1, Error, "the orphan file is no regular file"},
	{codeOrphanFileNotClear, 1, Error, "the orphan file is not used, but not empty"},
	{codeCasefoldNonDir, 1, Error, "the casefold flag on what is no directory"},
	{codeCasefoldFeature, 1, Error, "the casefold flag without the feature"},
	{codeInlineAndExtents, 1, Error, "both inline data and extents"},
	{codeInlineFeature, 1, Error, "inline data without the feature"},
	{codeInlineNoAttr, 1, Error, "inline data without the attribute for it"},
	{codeExtentsFeature, 1, Error, "extents without the feature"},
	{codeExtentsFlagMissing, 1, Error, "an extent tree without the flag"},
	{codeImagic, 1, Error, "the imagic flag without the feature"},
	{codeExtraIsize, 1, Error, "i_extra_isize is impossible"},
	{codeTime, 1, Note, "a time beyond 2310, probably one before 1970"},
	{codeSpecialFlags, 1, Extra, "a device, FIFO or socket with extents or inline data"},
	{codeSpecialImmutable, 1, Extra, "a device, FIFO, socket or symlink that is immutable or append-only"},
	{codeSpecialSize, 1, Error, "a device, FIFO or socket with a size"},
	{codeLooksLikeDir, 1, Error, "not a directory by its type, but by its contents"},
	{codeSymlinkExtents, 1, Error, "a symlink in the inode with the extents flag"},
	{codeEncryptionMissing, 1, Error, "encrypted without an encryption context"},
	{codeEncryptionCorrupt, 1, Error, "the encryption context is corrupt"},
	{codeXattrCollision, 1, Error, "attributes overlap"},
	{codeXattrName, 1, Error, "an attribute with an impossible name"},
	{codeXattrClass, 1, Extra, "an attribute of an unknown class"},
	{codeXattrValue, 1, Error, "an attribute with an impossible value"},
	{codeXattrHash, 1, Error, "an attribute with a wrong hash"},
	{codeXattrInode, 1, Error, "the inode with the value of an attribute is none"},
	{codeXattrInodeFlag, 1, Error, "the inode with the value of an attribute is not marked as one"},
	{codeXattrBlockUnreadable, 1, Error, "the xattr block cannot be read"},
	{codeXattrBlockMagic, 1, Error, "the xattr block has a wrong magic number"},
	{codeXattrBlockBlocks, 1, Error, "the xattr block says that it has several blocks"},
	{codeXattrBlockChecksum, 1, Error, "the xattr block has a wrong checksum"},
	{codeXattrRefcount, 1, Error, "the xattr block counts its users wrong"},
	{codeExtentHeader, 1, Error, "the inode has no extent header"},
	{codeExtentDepth, 1, Extra, "the extent tree is deeper than any needs to be"},
	{codeExtentNode, 1, Error, "the extent node is invalid"},
	{codeExtentNodeDepth, 1, Extra, "the extent node is not as deep as its place in the tree"},
	{codeExtentChecksum, 1, Error, "the extent node has a wrong checksum"},
	{codeExtentIndexStart, 1, Error, "the extent node does not begin where its index entry says"},
	{codeExtentStart, 1, Error, "an extent or index entry points to no block"},
	{codeExtentEnd, 1, Error, "an extent ends behind the file system"},
	{codeExtentEmpty, 1, Error, "an extent of no blocks"},
	{codeExtentOrder, 1, Error, "an extent or index entry before the one in front of it"},
	{codeExtentBounds, 1, Error, "an extent or index entry ends behind what its node is in charge of"},
	{codeExtentOverlap, 1, Error, "an extent overlaps the one before it"},
	{codeExtentUnwrittenDir, 1, Error, "a directory with an unwritten extent"},
	{codeMetadataCollision, 1, Note, "a map block lies on metadata of the file system"},
	{codeBlockIllegal, 1, Error, "a block number of no block"},
	{codeBlockUnreadable, 1, Error, "the block cannot be read"},
	{codeFileTooBig, 1, Error, "more blocks than such a file may have"},
	{codeDirTooBig, 1, Error, "more blocks than a directory may have"},
	{codeDirGap, 1, Error, "a directory with a hole in its extents"},
	{codeDirEmpty, 1, Error, "a directory without a block"},
	{codeClusterMisaligned, 1, Error, "a block is elsewhere in its cluster than the file has it"},
	{codeBigallocBlockMap, 1, Error, "a file without extents on a file system with bigalloc"},
	{codeIndexNonDir, 1, Error, "the index flag on what is no directory"},
	{codeIndexFeature, 1, Error, "a hashed directory without the feature dir_index"},
	{codeIndexRoot, 1, Error, "a hashed directory with an invalid root"},
	{codeIndexHash, 1, Error, "a hashed directory with a hash that it cannot have"},
	{codeIndexFlags, 1, Error, "a hashed directory with unknown flags"},
	{codeIndexDepth, 1, Error, "a hashed directory that is too deep"},
	{codeSize, 1, Error, "i_size is wrong"},
	{codeBlockCount, 1, Error, "i_blocks is wrong"},
	{codeLargeDirFeature, 1, Error, "a directory that needs the feature large_dir"},
	{codeBlockClaimedTwice, 1, Error, "claims blocks that others claim too"},
	{codeClaimedOften, 1, Error, "so many claims of the same blocks that the check stops here"},
	{codeDirHole, 2, Error, "a hole in a directory"},
	{codeDirCorrupt, 2, Error, "an entry that cannot be one"},
	{codeDirChecksum, 2, Error, "the directory block has a wrong checksum"},
	{codeDirNoChecksum, 2, Error, "the directory block has no checksum"},
	{codeInlineDirSize, 2, Error, "a directory with inline data of an impossible size"},
	{codeDotMissing, 2, Error, `"." is missing`},
	{codeDotName, 2, Error, `the first entry is not "."`},
	{codeDotNul, 2, Error, `"." does not end with NUL`},
	{codeDotInode, 2, Error, `"." is another inode`},
	{codeDotLong, 2, Note, `the entry of "." is long enough for two`},
	{codeDotDotMissing, 2, Error, `".." is missing`},
	{codeDotDotName, 2, Error, `the second entry is not ".."`},
	{codeDotDotNul, 2, Error, `".." does not end with NUL`},
	{codeEntrySelf, 2, Error, "another entry for the directory itself"},
	{codeEntryInode, 2, Error, "an inode number that entries cannot have"},
	{codeEntryBadBlock, 2, Error, "the inode is in a bad block"},
	{codeEntryDotAgain, 2, Error, `another "." or ".."`},
	{codeEntryRoot, 2, Error, "an entry for the root directory"},
	{codeEntryNoName, 2, Error, "an entry without a name"},
	{codeEntryUninit, 2, Error, "the inode is in a part of the table that is not initialized"},
	{codeEntryUnusedArea, 2, Error, "the inode is in a part of the table that is not used"},
	{codeEntryUnused, 2, Error, "the inode is not in use"},
	{codeEntryType, 2, Error, "the file type is not that of the inode"},
	{codeEntryTypeMissing, 2, Extra, "the file type is missing"},
	{codeEntryTypeSet, 2, Error, "a file type without the feature filetype"},
	{codeEntryName, 2, Error, "characters that names cannot have"},
	{codeEntryEncoding, 2, Error, "a name that is not UTF-8 in a casefolded directory"},
	{codeEntryCipherShort, 2, Error, "an encrypted name that is too short"},
	{codeEntryPlain, 2, Error, "an inode that is not encrypted in an encrypted directory"},
	{codeEntryPolicy, 2, Error, "another encryption policy than the directory has"},
	{codeEntryDirTwice, 2, Error, "another entry for a directory"},
	{codeEntryDuplicate, 2, Error, "a name for the second time"},
	{codeIndexChecksum, 2, Error, "the index block has a wrong checksum"},
	{codeIndexLimit, 2, Error, "the index block has a wrong limit"},
	{codeIndexCount, 2, Error, "the index block has more entries than room"},
	{codeIndexBlock, 2, Error, "an index entry points to no block of the directory"},
	{codeIndexOrder, 2, Error, "the entries of the index block are out of order"},
	{codeIndexRange, 2, Error, "a name whose hash belongs elsewhere"},
	{codeIndexLeafDepth, 2, Error, "a leaf at another depth than the root says"},
	{codeIndexUnreferenced, 2, Error, "a block that the index does not point to"},
	{codeIndexTwice, 2, Error, "a block that the index points to twice"},
	{codeModeInvalid, 2, Error, "i_mode has no type"},
	{codeDeviceInvalid, 2, Error, "a device, FIFO or socket with flags or blocks of a file"},
	{codeSymlinkInvalid, 2, Error, "the symlink is invalid"},
	{codeFieldNotZero, 2, Error, "a field that must be zero"},
	{codeXattrFeature, 2, Error, "an xattr block without the feature ext_attr"},
	{codeXattrBlockIllegal, 2, Error, "the xattr block is no block"},
	{codeLargeFileFeature, 2, Error, "a file beyond 2 GiB without the feature large_file"},
	{codeNoRoot, 3, Error, "there is no root directory"},
	{codeDirUnconnected, 3, Error, "the directory is not connected to the root"},
	{codeDotDotWrong, 3, Error, `".." is not the directory with the entry`},
	{codeUnattached, 4, Error, "no directory has an entry for it"},
	{codeLinkCount, 4, Error, "the link count is wrong"},
	{codeDirNlinkFeature, 4, Error, "more subdirectories than links can count, without the feature dir_nlink"},
	{codeXattrInodeRefs, 4, Error, "the inode with the value of an attribute counts its users wrong"},
	{codeBitmapUnreadable, 5, Error, "a bitmap cannot be read"},
	{codeBlockNotMarked, 5, Error, "in use, but not in the block bitmap"},
	{codeBlockMarked, 5, Error, "in the block bitmap, but not in use"},
	{codeBlockUninitUsed, 5, Error, "blocks in use in a group with an uninitialized block bitmap"},
	{codeBlockBitmapChecksum, 5, Error, "the block bitmap has a wrong checksum"},
	{codeBlockBitmapPadding, 5, Error, "the end of the block bitmap is not filled"},
	{codeInodeNotMarked, 5, Error, "in use, but not in the inode bitmap"},
	{codeInodeMarked, 5, Error, "in the inode bitmap, but not in use"},
	{codeInodeUninitUsed, 5, Error, "inodes in use in a group with an uninitialized inode bitmap"},
	{codeInodeBitmapChecksum, 5, Error, "the inode bitmap has a wrong checksum"},
	{codeInodeBitmapPadding, 5, Error, "the end of the inode bitmap is not filled"},
	{codeGroupFreeBlocks, 5, Error, "the descriptor counts free clusters wrong"},
	{codeGroupFreeInodes, 5, Error, "the descriptor counts free inodes wrong"},
	{codeGroupDirs, 5, Error, "the descriptor counts directories wrong"},
	{codeFreeBlocks, 5, Note, "the superblock counts free blocks wrong, as it may"},
	{codeFreeInodes, 5, Note, "the superblock counts free inodes wrong, as it may"},
	{codeOrphanPresentNoFile, 6, Error, "orphan_present without an orphan file"},
	{codeOrphanPresentClean, 6, Error, "orphan_present, but the orphan file is empty"},
	{codeOrphanFileNoJournal, 6, Error, "an orphan file without a journal"},
	{codeOrphanFile, 6, Error, "the orphan file is out of order, or not empty"},
	{codeOrphanList, 6, Extra, "the orphan list is out of order, or not empty"},
	{codeQuotaFile, 6, Error, "the quota file is none"},
	{codeQuotaMagic, 6, Extra, "the quota file has a wrong magic number"},
	{codeQuotaUsage, 6, Error, "the quota file counts wrong"},
}
