// Package mkfs makes an empty ext4 file system on a device, as mke2fs -t ext4 does: the same features, the same numbers
// of groups, inodes, reserved and journal blocks for the same size. Every byte of the new file system is this package's; no
// other package may use the device meanwhile.
//
// It promises that the superblock comes last: a crash before Make returns leaves no file system, or the whole one. What
// it writes follows from the Options and the device's size alone, so the same UUID and time give the same bytes.
// Nothing is written that the format does not ask for: a sparse image stays sparse.
//
// It asks of the caller that the device has its final size, and the truth about whether it reads as zeros
// (Options.Zeroed). A device that does not has its stale inode tables and log cleared where old contents could be
// taken for new.
//
// One flex group, with the tables of all its groups packed behind the first group's descriptors:
//
//	group 0                                                          group 1 … 15 (1, and others: copies)
//	┌───────┬───────┬──────────┬─────────┬─────────┬──────────┬────┐ ┌───────┬───────┬──────────┬─────────────────┐
//	│ super │ descs │ reserved │ block   │ inode   │ inode    │data│ │ super │ descs │ reserved │ data            │
//	│       │       │ descs    │ bitmaps │ bitmaps │ tables   │    │ │ copy  │ copy  │          │                 │
//	└───────┴───────┴──────────┴─────────┴─────────┴──────────┴────┘ └───────┴───────┴──────────┴─────────────────┘
//
// The order of work: plan (the superblock's numbers), tables, files (journal, root, lost+found, …), write.
package mkfs
