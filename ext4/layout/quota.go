package layout

// Quota files (vfsv1, "version 2 revision 1"): a header, and a radix tree over identifiers in blocks of 1 KiB.
const (
	QuotaBlockSize  = 1024
	QuotaTreeRoot   = 1 // block with the root of the tree
	QuotaTreeDepth  = 4 // levels of tree blocks above the entries
	QuotaRefs       = QuotaBlockSize / 4
	QuotaEntrySize  = 72
	QuotaEntryStart = 16 // offset of a block's first entry, after the header
	QuotaVersion    = 1
)

// QuotaMagics are dqh_magic of the files for users, groups and projects.
var QuotaMagics = [3]uint32{0xD9C01F11, 0xD9C01927, 0xD9C03F14}

// QuotaHeader is a view on the start of a quota file (struct v2_disk_dqheader, struct v2_disk_dqinfo).
type QuotaHeader []byte

// ParseQuotaHeader makes a view of the first block of a quota file.
func ParseQuotaHeader(p []byte) (QuotaHeader, error) {
	if len(p) < QuotaBlockSize {
		return nil, Corruptf("quota header: %d bytes, want %d", len(p), QuotaBlockSize)
	}
	return QuotaHeader(p[:QuotaBlockSize:QuotaBlockSize]), nil
}

// Magic is dqh_magic.
func (h QuotaHeader) Magic() uint32 { return le.Uint32(h[0x0:]) }

// Version is dqh_version.
func (h QuotaHeader) Version() uint32 { return le.Uint32(h[0x4:]) }

// Blocks is dqi_blocks: the blocks of the file.
func (h QuotaHeader) Blocks() uint32 { return le.Uint32(h[0x14:]) }

// QuotaEntry is a view on the entry of one identifier (struct v2r1_disk_dqblk).
type QuotaEntry []byte

// QuotaEntries are the entries of a block of entries, used and unused.
func QuotaEntries(p []byte) []QuotaEntry {
	var out []QuotaEntry
	for at := QuotaEntryStart; at+QuotaEntrySize <= len(p); at += QuotaEntrySize {
		out = append(out, QuotaEntry(p[at:at+QuotaEntrySize:at+QuotaEntrySize]))
	}
	return out
}

// Used reports whether an entry is in use.
func (e QuotaEntry) Used() bool { return !allZero(e) }

// ID is dqb_id: the number of the user, group or project.
func (e QuotaEntry) ID() uint32 { return le.Uint32(e[0x0:]) }

// Inodes is dqb_curinodes: inodes in use.
func (e QuotaEntry) Inodes() uint64 { return le.Uint64(e[0x18:]) }

// Space is dqb_curspace: bytes in use.
func (e QuotaEntry) Space() uint64 { return le.Uint64(e[0x30:]) }
