package mkfs

import (
	"fmt"
	"strings"

	"ext4img/ext4/layout"
)

// Features is a set of features.
type Features struct {
	Compat   layout.Compat
	Incompat layout.Incompat
	ROCompat layout.ROCompat
}

// The feature sets of mke2fs -t ext2, ext3 and ext4.
var (
	ext2Features = Features{
		Compat:   layout.CompatExtAttr | layout.CompatResizeInode | layout.CompatDirIndex,
		Incompat: layout.IncompatFiletype,
		ROCompat: layout.ROCompatSparseSuper | layout.ROCompatLargeFile,
	}
	ext3Features = ext2Features.with(Features{Compat: layout.CompatHasJournal})
	ext4Features = ext3Features.with(Features{
		Incompat: layout.IncompatExtents | layout.Incompat64Bit | layout.IncompatFlexBG,
		ROCompat: layout.ROCompatHugeFile | layout.ROCompatDirNlink | layout.ROCompatExtraIsize | layout.ROCompatMetadataCsum,
	})
)

// makeable holds every feature that a new file system may have.
var makeable = ext4Features.with(Features{
	Compat: layout.CompatSparseSuper2 | layout.CompatStableInodes | layout.CompatOrphanFile,
	Incompat: layout.IncompatMetaBG | layout.IncompatMMP | layout.IncompatEAInode | layout.IncompatCsumSeed | layout.IncompatLargeDir |
		layout.IncompatInlineData | layout.IncompatEncrypt | layout.IncompatCasefold,
	ROCompat: layout.ROCompatGdtCsum | layout.ROCompatQuota | layout.ROCompatBigalloc | layout.ROCompatProject | layout.ROCompatVerity,
})

// DefaultFeatures is the feature set of a type: ext2, ext3 or ext4. The empty string is ext4.
func DefaultFeatures(fsType string) (Features, error) {
	switch fsType {
	case "ext2":
		return ext2Features, nil
	case "ext3":
		return ext3Features, nil
	case "ext4", "":
		return ext4Features, nil
	}
	return Features{}, fmt.Errorf("file system type %q: want ext2, ext3 or ext4", fsType)
}

func (f Features) with(g Features) Features {
	return Features{f.Compat | g.Compat, f.Incompat | g.Incompat, f.ROCompat | g.ROCompat}
}

func (f Features) without(g Features) Features {
	return Features{f.Compat &^ g.Compat, f.Incompat &^ g.Incompat, f.ROCompat &^ g.ROCompat}
}

func (f Features) has(g Features) bool { return g.without(f) == Features{} }

// ParseFeatures changes base by a list as for mke2fs -O: names joined by commas; "^" before a name removes it, and
// "none" removes all.
func ParseFeatures(base Features, list string) (Features, error) {
	f := base
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, remove := strings.CutPrefix(word, "^")
		if name == "none" && !remove {
			f = Features{}
			continue
		}
		c, i, r, ok := layout.FeatureByName(name)
		if !ok {
			return Features{}, fmt.Errorf("feature %q: there is none of that name", name)
		}
		one := Features{c, i, r}
		if remove {
			f = f.without(one)
			continue
		}
		if !makeable.has(one) {
			return Features{}, layout.Unsupportedf("feature %s: a new file system cannot have it", name)
		}
		f = f.with(one)
		if i&layout.IncompatMetaBG != 0 { // the two exclude each other; the default gives way
			f.Compat &^= layout.CompatResizeInode
		}
	}
	return f, nil
}

// check returns an error if features exclude or require each other, and removes features that have no effect.
func (f *Features) check() error {
	extents := f.Incompat&layout.IncompatExtents != 0
	switch {
	case f.ROCompat&layout.ROCompatBigalloc != 0 && !extents:
		return fmt.Errorf("feature bigalloc needs extent")
	case f.Incompat&layout.IncompatMetaBG != 0 && f.Compat&layout.CompatResizeInode != 0:
		return fmt.Errorf("features meta_bg and resize_inode exclude each other")
	case f.Compat&layout.CompatResizeInode != 0 && f.ROCompat&layout.ROCompatSparseSuper == 0 && f.Compat&layout.CompatSparseSuper2 == 0:
		return fmt.Errorf("feature resize_inode needs sparse_super")
	case f.Incompat&layout.IncompatCsumSeed != 0 && f.ROCompat&layout.ROCompatMetadataCsum == 0:
		return fmt.Errorf("feature metadata_csum_seed needs metadata_csum")
	case f.Compat&layout.CompatOrphanFile != 0 && f.Compat&layout.CompatHasJournal == 0:
		return fmt.Errorf("feature orphan_file needs has_journal")
	case f.ROCompat&layout.ROCompatProject != 0 && f.ROCompat&layout.ROCompatExtraIsize == 0:
		return fmt.Errorf("feature project needs extra_isize")
	}
	if f.ROCompat&layout.ROCompatMetadataCsum != 0 {
		f.ROCompat &^= layout.ROCompatGdtCsum
	}
	return nil
}
