// Package check is a second opinion on an ext4 file system: it reads a device, changes nothing, and says what is wrong
// and where. Its verdict agrees with that of e2fsck -fn.
//
// It owns no bytes. It shares with the writers only the elementary functions of the format (layout). It has its own
// geometry, extent and directory walkers, which trust no byte, so that it does not repeat a mistake of the writers.
// The work goes in passes, as in e2fsck:
//
//	open      superblock (or a backup); the log is recovered into memory (an aio.Overlay), and the image stays as it is
//	pass 0    superblock, features, descriptors, resize inode, journal superblock, MMP
//	pass 1    every inode: its fields, xattrs, block map; which blocks are claimed
//	pass 1b   which inodes claim the blocks that are claimed twice
//	pass 2    every directory block: entries, hashes, index
//	pass 3    every directory is reached from the root, and its ".." names its parent
//	pass 4    link counts
//	pass 5    bitmaps and counts of the descriptors against what was found
//	pass 6    quota files and orphans
//
// There are three severities. An Error makes e2fsck -fn report errors. An Extra is wrong too, but e2fsck -fn does not
// notice it or does not count it (Report.ExitStatus leaves it out on request). A Note is worth knowing and never
// counts. CODES.md lists every code. Where e2fsck -fn gives up, this check goes on, and says so (Report.GivesUp).
//
// Memory is bounded: a few bits per inode and per cluster of the groups that are in use, some 40 bytes per directory,
// 24 bytes per directory block, a record per inode with several links. In addition each worker has 192 KiB for inode
// tables, and 128 KiB of blocks for each level of the tree that it walks. No bytes of the device make the check
// panic, loop, or allocate more than the device's size justifies.
// loops, or allocates more than the device's size justifies.
package check
