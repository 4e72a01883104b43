// Package check is a second opinion on an ext4 file system: it reads a device, changes nothing, and says what is wrong
// and where. Its verdict agrees with that of e2fsck -fn.
//
// It owns no bytes. It shares the format's elementary functions (layout) with the writers and nothing else: it has its
// own geometry, extent and directory walkers, which take no byte for granted, so that a mistake in the writers is not
// repeated here. The work goes in passes, as in e2fsck:
//
//	open      superblock (or a backup), log looked at and recovered into memory (an aio.Overlay; the image stays as it is)
//	pass 0    superblock, features, descriptors, resize inode, journal superblock, MMP
//	pass 1    every inode: its fields, xattrs, block map; who claims which block
//	pass 1b   who claims the blocks that are claimed twice
//	pass 2    every directory block: entries, hashes, index
//	pass 3    every directory reaches the root, and its ".." says how
//	pass 4    link counts
//	pass 5    bitmaps and counts of the descriptors against what was found
//	pass 6    quota files and orphans
//
// Three severities: an Error is what makes e2fsck -fn say that errors are left; an Extra is wrong too, but e2fsck -fn
// does not look at it or does not hold it against the file system (Report.ExitStatus leaves it out on request); a Note
// is worth knowing and never counts. Every code is listed in CODES.md. Where e2fsck -fn gives up, this check goes on, and
// says so (Report.GivesUp).
//
// Memory is bounded: a few bits per inode and per cluster, only for groups that have any in use, a record of some 40
// bytes per directory, one of 24 per directory block, one per inode with several links, and for each worker 192 KiB of
// inode tables and 128 KiB of blocks for each level of the tree that it is in. Nothing read from the device panics,
// loops, or allocates more than the device's size justifies.
package check
