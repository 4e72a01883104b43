// Package mkfs makes an empty ext4 file system on a device, as mke2fs -t ext4 does: the same features, the same numbers
// of groups, inodes, reserved and journal blocks for the same size. It owns every byte of the new file system; no
// other package may use the device meanwhile.
//
// It promises that the superblock is written last: a crash before Make returns leaves no file system, or a whole one.
// The bytes depend only on the Options and the device's size, so the same UUID and time give the same bytes. It
// writes only what the format needs: a sparse image stays sparse.
//
// The caller makes sure that the device has its final size, and says truthfully whether it reads as zeros
// (Options.Zeroed). If it does not, Make clears inode tables and the log where old bytes could be taken for valid
// ones.
//
// One flex group. The tables of all its groups follow the descriptors of its first group:
//
//	group 0                                                          group 1 … 15 (1, and others: copies)
//	┌───────┬───────┬──────────┬─────────┬─────────┬──────────┬────┐ ┌───────┬───────┬──────────┬─────────────────┐
//	│ super │ descs │ reserved │ block   │ inode   │ inode    │data│ │ super │ descs │ reserved │ data            │
//	│       │       │ descs    │ bitmaps │ bitmaps │ tables   │    │ │ copy  │ copy  │          │                 │
//	└───────┴───────┴──────────┴─────────┴─────────┴──────────┴────┘ └───────┴───────┴──────────┴─────────────────┘
//
// The order of work: plan (the superblock's numbers), tables, files (journal, root, lost+found, …), write.
package mkfs
