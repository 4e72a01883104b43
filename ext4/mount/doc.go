// Package mount serves an open ext4.FS to the kernel through FUSE: any program then reads and writes in the image, without
// root. It changes nothing by itself: every request becomes a call of package ext4. Only this package imports go-fuse.
//
//	kernel ── request ──► server ── names, attributes ──► ext4.Inode
//	                        │
//	                        ├────── whole blocks ───────► lane ──► one ext4.Queue, many in flight
//	                        └────── anything else ──────► ext4.File, under the inode lock
//
// # What it promises
//
//   - The number of a node is the number of the inode; FUSE's root, 1, is the root directory. An inode that the kernel
//     knows is held: without a name it lives on, and its number is not used again, until the kernel forgets it.
//   - A write is answered when its range is converted to written. fsync, fdatasync and fsync of a directory return when the
//     transaction is committed and the device flushed.
//   - When Wait returns everything is home in the file system, and it may be closed.
//
// # What the kernel keeps to itself
//
// Buffered writes stay in the kernel's write-back cache until it writes them. It decides then what the size and the times
// of a regular file are. FUSE has no request for sync(2) and syncfs(2): the kernel writes its cache back, and what that
// changes is committed with the next interval (ext4.Options.CommitInterval), or by fsync. Space for what is in the cache is
// not reserved: a full file system is told by fsync or close, as over a network.
//
// umount(8) returns when the kernel has let go, a moment before the server has written everything home. The lock on the
// image is held until then: "umount DIR && flock IMAGE e2fsck -fn IMAGE" waits for it.
package mount
