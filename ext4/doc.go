// Package ext4 opens ext4 file systems in user space, on any aio.Device, and offers the operations of a kernel:
// nothing is mounted, and no privilege is needed except access to the device.
//
// It owns the file data blocks. Every change of metadata is a handle of a transaction in the image's own journal, which
// package volume starts.
//
//	FS ──────── names, attributes, whole-file-system calls
//	 └ File ─── an open file: reads, direct writes, fallocate, truncate, sync
//	    └ openInode ─ what all open files of one inode share: its lock and its completed-IO state (ioend)
//	Queue ───── asynchronous direct I/O on any number of files
//
// # Promises
//
//   - After Sync has returned nil, everything written before it survives a crash at any later time.
//   - After a crash, every operation on names is either complete or absent. Of a write that was not synced, any part may
//     be present.
//   - A write is reported complete after its range is converted to written: a read that follows it sees its data.
//   - An I/O error converts nothing (ordering O6): the range stays unwritten and reads as zeros, and the error is returned
//     to the writer and to the next Sync of that file, once.
//
// # Locks, outermost first
//
//	openInode.mu   one inode's size and block map against truncate, fallocate and unaligned writes
//	ioend.Block    holds off new direct I/O of one inode
//	handle or view of the journal
//
// Nothing waits for an IOEnd, a queue slot or a commit while it holds a handle or a view. Converting takes no inode
// lock: that is the deadlock between truncate and the completion worker that the 2012 patch removed.
package ext4
