package layout

import (
	"fmt"
	"strings"
)

// Compat is s_feature_compat: a system that does not know one of these bits may still read and write.
type Compat uint32

// Incompat is s_feature_incompat: a system that does not know one of these bits must not touch the file system.
type Incompat uint32

// ROCompat is s_feature_ro_compat: a system that does not know one of these bits must not write.
type ROCompat uint32

// The compatible features.
const (
	CompatDirPrealloc   Compat = 0x1
	CompatImagicInodes  Compat = 0x2
	CompatHasJournal    Compat = 0x4
	CompatExtAttr       Compat = 0x8
	CompatResizeInode   Compat = 0x10
	CompatDirIndex      Compat = 0x20
	CompatLazyBG        Compat = 0x40
	CompatExcludeBitmap Compat = 0x100
	CompatSparseSuper2  Compat = 0x200
	CompatFastCommit    Compat = 0x400
	CompatStableInodes  Compat = 0x800
	CompatOrphanFile    Compat = 0x1000
)

// The incompatible features.
const (
	IncompatCompression Incompat = 0x1
	IncompatFiletype    Incompat = 0x2
	IncompatRecover     Incompat = 0x4
	IncompatJournalDev  Incompat = 0x8
	IncompatMetaBG      Incompat = 0x10
	IncompatExtents     Incompat = 0x40
	Incompat64Bit       Incompat = 0x80
	IncompatMMP         Incompat = 0x100
	IncompatFlexBG      Incompat = 0x200
	IncompatEAInode     Incompat = 0x400
	IncompatDirData     Incompat = 0x1000
	IncompatCsumSeed    Incompat = 0x2000
	IncompatLargeDir    Incompat = 0x4000
	IncompatInlineData  Incompat = 0x8000
	IncompatEncrypt     Incompat = 0x10000
	IncompatCasefold    Incompat = 0x20000
)

// The features compatible with reading only.
const (
	ROCompatSparseSuper   ROCompat = 0x1
	ROCompatLargeFile     ROCompat = 0x2
	ROCompatBtreeDir      ROCompat = 0x4
	ROCompatHugeFile      ROCompat = 0x8
	ROCompatGdtCsum       ROCompat = 0x10 // "uninit_bg"
	ROCompatDirNlink      ROCompat = 0x20
	ROCompatExtraIsize    ROCompat = 0x40
	ROCompatHasSnapshot   ROCompat = 0x80
	ROCompatQuota         ROCompat = 0x100
	ROCompatBigalloc      ROCompat = 0x200
	ROCompatMetadataCsum  ROCompat = 0x400
	ROCompatReplica       ROCompat = 0x800
	ROCompatReadonly      ROCompat = 0x1000
	ROCompatProject       ROCompat = 0x2000
	ROCompatSharedBlocks  ROCompat = 0x4000
	ROCompatVerity        ROCompat = 0x8000
	ROCompatOrphanPresent ROCompat = 0x10000
)

// The features that this module reads. Of the read-only compatible features, those that it can also write with.
const (
	KnownIncompat = IncompatFiletype | IncompatRecover | IncompatMetaBG | IncompatExtents | Incompat64Bit | IncompatMMP |
		IncompatFlexBG | IncompatEAInode | IncompatCsumSeed | IncompatLargeDir | IncompatInlineData | IncompatEncrypt |
		IncompatCasefold
	KnownROCompat = ROCompatSparseSuper | ROCompatLargeFile | ROCompatHugeFile | ROCompatGdtCsum | ROCompatDirNlink |
		ROCompatExtraIsize | ROCompatQuota | ROCompatBigalloc | ROCompatMetadataCsum | ROCompatProject | ROCompatVerity |
		ROCompatOrphanPresent
)

// A featureName is a bit and the name that mke2fs -O and dumpe2fs use for it.
type featureName struct {
	bit  uint32
	name string
}

// The names of the features, in the order of the bits.
var (
	compatNames = []featureName{
		{0x1, "dir_prealloc"}, {0x2, "imagic_inodes"}, {0x4, "has_journal"}, {0x8, "ext_attr"}, {0x10, "resize_inode"},
		{0x20, "dir_index"}, {0x40, "lazy_bg"}, {0x80, "snapshot_bitmap"}, {0x200, "sparse_super2"}, {0x400, "fast_commit"},
		{0x800, "stable_inodes"}, {0x1000, "orphan_file"},
	}
	incompatNames = []featureName{
		{0x1, "compression"}, {0x2, "filetype"}, {0x4, "needs_recovery"}, {0x8, "journal_dev"}, {0x10, "meta_bg"},
		{0x40, "extent"}, {0x80, "64bit"}, {0x100, "mmp"}, {0x200, "flex_bg"}, {0x400, "ea_inode"}, {0x1000, "dirdata"},
		{0x2000, "metadata_csum_seed"}, {0x4000, "large_dir"}, {0x8000, "inline_data"}, {0x10000, "encrypt"},
		{0x20000, "casefold"},
	}
	roCompatNames = []featureName{
		{0x1, "sparse_super"}, {0x2, "large_file"}, {0x8, "huge_file"}, {0x10, "uninit_bg"}, {0x20, "dir_nlink"},
		{0x40, "extra_isize"}, {0x80, "snapshot"}, {0x100, "quota"}, {0x200, "bigalloc"}, {0x400, "metadata_csum"},
		{0x800, "replica"}, {0x1000, "read-only"}, {0x2000, "project"}, {0x4000, "shared_blocks"}, {0x8000, "verity"},
		{0x10000, "orphan_present"},
	}
)

// Names lists the features by the names that mke2fs and dumpe2fs use; an unknown bit is FEATURE_C and its number.
func (f Compat) Names() []string { return names(uint32(f), compatNames, 'C') }

// Names lists the features by the names that mke2fs and dumpe2fs use; an unknown bit is FEATURE_I and its number.
func (f Incompat) Names() []string { return names(uint32(f), incompatNames, 'I') }

// Names lists the features by the names that mke2fs and dumpe2fs use; an unknown bit is FEATURE_R and its number.
func (f ROCompat) Names() []string { return names(uint32(f), roCompatNames, 'R') }

// String lists the names, with commas between them.
func (f Compat) String() string { return strings.Join(f.Names(), ",") }

// String lists the names, with commas between them.
func (f Incompat) String() string { return strings.Join(f.Names(), ",") }

// String lists the names, with commas between them.
func (f ROCompat) String() string { return strings.Join(f.Names(), ",") }

func names(bits uint32, table []featureName, kind rune) []string {
	var out []string
	for i := range 32 {
		bit := uint32(1) << i
		if bits&bit == 0 {
			continue
		}
		name := fmt.Sprintf("FEATURE_%c%d", kind, i)
		for _, t := range table {
			if t.bit == bit {
				name = t.name
			}
		}
		out = append(out, name)
	}
	return out
}

// FeatureByName finds the feature that mke2fs -O calls name. If ok is true, exactly one of c, i and r has a bit set.
func FeatureByName(name string) (c Compat, i Incompat, r ROCompat, ok bool) {
	switch name {
	case "extents":
		name = "extent"
	case "filetypes":
		name = "filetype"
	}
	find := func(table []featureName) uint32 {
		for _, t := range table {
			if t.name == name {
				return t.bit
			}
		}
		return 0
	}
	c, i, r = Compat(find(compatNames)), Incompat(find(incompatNames)), ROCompat(find(roCompatNames))
	return c, i, r, c != 0 || i != 0 || r != 0
}
