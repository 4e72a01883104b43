// Package journal makes changes of metadata atomic and durable with the file system's own jbd2 log, and recovers every
// log that Linux writes.
//
// It owns the log area, and the home locations of metadata: nothing else writes to either while a Journal is open.
//
//	Handle ──Get, Create──▶ cached blocks          one handle at a time: it is the lock
//	   │ Stop: check, seal
//	   ▼
//	running transaction                             many handles
//	   │ Commit: copy under the lock, write outside it
//	   ▼
//	log   | superblock | revoke | descriptor | block | block | … | commit |
//	   │ checkpoint: from the frozen copies
//	   ▼
//	home locations
//
// # What it promises
//
// A handle's changes reach the device all or not at all, and in the order of the handles. After Commit(tid) has
// returned without error, transaction tid survives a crash at any instant. A transaction whose commit was not flushed
// is never replayed in part: whatever subset of the unflushed writes a crash keeps, recovery finds whole transactions
// and replays only those. An error of the device aborts the journal: the error is sticky, and the log stays for
// recovery.
//
// Each ordering has a test that fails without it:
//
//   - O1 data before metadata. The flush before a commit block makes the data durable that was written to the device
//     before the commit began; the caller waits for its data before it changes metadata. TestOrderDataBeforeCommit
//   - O2 log before commit: a flush between a transaction's blocks and its commit block. TestOrderLogBeforeCommit
//   - O3 commit before home: only frozen copies of committed transactions go home. TestOrderCommitBeforeHome
//   - O4 home before reuse of the log: a flush before the log begins anew, and one after. TestOrderHomeBeforeReuse
//   - O5 freed space rests: Committed says when a block freed in transaction N may be allocated again, and from then
//     on no older copy of it is written home or replayed. TestOrderFreedSpaceRests
//
// Without a journal (Config.Log nil) the same handles write home when they stop, new objects first, and Commit
// flushes. A crash may then leave half of a handle, as on Linux.
//
// # What it asks of the caller
//
//   - A goroutine that changes metadata has a handle; one that reads metadata has a handle or a view. A goroutine with
//     either does not start another, and does not wait for a commit, nor for a goroutine that waits for a commit.
//     (Build with the tag paranoid to assert it.)
//   - Bytes from Read are not modified. Bytes from Get and Create are modified only until Stop, and only those that the
//     caller means to change.
//   - A handle leaves a valid file system behind, and says in Start how many blocks it may change.
//   - A block that is no longer metadata is revoked in the handle that frees it. It is not used for data before that
//     handle's transaction has committed.
package journal
