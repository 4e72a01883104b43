// Package ioend is the completed-IO state machine of one inode: what the ext4 patch
// "completed_io locking cleanup V4" (2012) made of fs/ext4/page-io.c, with the wait of its follow-up
// "fix ext4_flush_completed_IO wait semantics". It owns no bytes on disk.
//
//	 Begin            device        AddCompleteIO          flushCompletedIO
//	───────► in flight ─────► ended ────────────► completed ─────────────────────────────► pooled
//	                                               list      (A) take (B) convert, report,
//	                                                │            drop counts (C) release (D) destroy
//	                                                └ list was empty: Queued, one work item
//
// An IOEnd is one direct write. flagUnwritten says that its range is not known to be converted yet; flagQueued
// says that a queued work item points at it. Whoever comes second, the context that converted it or its work item, frees it.
//
// What it promises. A write is reported (Done) after its range is converted, or with the error that kept it unwritten;
// only then do its counts drop. The first failed conversion and the first failed I/O go to the next TakeError, once.
// FlushUnwrittenIO returns when every unwritten write begun before it is settled: its own pass (V4's flush) converts
// what is on the list, the wait covers what a worker took before and what has ended but is not on the list yet.
// Since it waits for the writes begun before it, not for a count of zero, writers that never
// pause do not starve it. Block holds off new direct I/O, and lets those that waited pass before the next Block.
//
// What it asks. Each true of AddCompleteIO is followed by one FlushCompletedIO with that IOEnd, from a context that
// holds no lock which a caller of WaitDIO or FlushUnwrittenIO can hold: the inode lock above all. An IOEnd is not touched
// after it was handed in. Truncate and punch go Block, WaitDIO, FlushUnwrittenIO, stop on its error, change, Unblock.
//
// # Shape
//
// The methods of state and flush are pure: no lock, no goroutine, no clock. Each is one atomic region. Inode is the thin
// layer that runs them under the lock and sleeps. The tests step the same methods through every interleaving.
//
// # What the exploration says
//
// Actors are writers, workers, callers of FlushUnwrittenIO, truncate and punch, direct reads. States that differ only in
// the names of equal actors or writes, or in what no later step reads, count once. With 3 writes, 2 workers, 2 flushers,
// a truncate and a punch there are 2,802,329 states and 12,428,486 steps (a quarter of a minute); ten smaller casts, among
// them those with failing I/O, failing conversions and a write whose blocks turn out to be written, have 109,023. In every
// state: no deadlock, and from each a way to the end; no wake-up is missing; no IOEnd is freed twice, lost, in two lists,
// or reused while a work item points at it; Unwritten is cleared once; truncate and punch run with nothing pending; a flush
// that returned nil had everything converted that was complete when it began.
//
// V4's flush without the wait does not have the last property. testdata/v4-local-list.txt (a worker holds the batch) and
// testdata/v4-not-added.txt (ended, not on the list yet) are the shortest interleavings that show it. A worker that needs
// the inode lock ends in testdata/truncate-deadlock.txt: the deadlock that the patch removed.
//
// The questions of the patch's review:
//
//   - Must all flags change in one hold of the lock? No. One hold per IOEnd is as safe (20,834 states; 15,592 with
//     one hold for all): clearing Unwritten and testing Queued belong together for each IOEnd, as do clearing Queued and
//     testing Unwritten of the work. Split either pair over two holds and the IOEnd is freed twice, or while its work item
//     still runs. One hold for all costs less, so it stays.
//   - Does work queued unconditionally break anything? No (27,636 states): each IOEnd then waits for its own work item,
//     most of which find an empty list. It only costs.
//   - May a context drain one by one? Yes (18,501 states), if it goes on until the list was empty when it
//     took the last, and gives up the claim on its own work only after that. One per work item loses writes: work is queued
//     only when the list was empty. It costs one handle per write instead of one per batch.
package ioend
