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
// An IOEnd is one direct write. flagUnwritten says that its range is not known to be converted yet; flagQueued says
// that a queued work item points at it. The context that converted it and its work item both let go of it; the second of
// the two frees it.
//
// What it promises. A write is reported (Done) after its range is converted, or with the error that kept it unwritten;
// only then do its counts drop. The first failed conversion and the first failed I/O go to the next TakeError, once.
// FlushUnwrittenIO returns when every unwritten write begun before it is settled: its own pass (V4's flush) converts
// what is on the list, the wait covers what a worker took before and what has ended but is not on the list yet.
// Since it waits for the writes begun before it, not for a count of zero, writers that never pause do not starve it.
// Block holds off new direct I/O, and lets those that waited pass before the next Block.
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
// The tests visit every interleaving of writers, workers, callers of FlushUnwrittenIO, truncate and punch, and direct
// reads. In every state: no deadlock, and from each a way to the end; no wake-up is missing; no IOEnd is freed twice, lost,
// in two lists, or reused while a work item points at it; Unwritten is cleared once; truncate and punch run with nothing
// pending; a flush that returned nil had everything converted that was complete when it began. How many states there are is
// printed by the tests (explore_test.go).
//
// V4's flush without the wait does not have the last property. testdata/v4-local-list.txt (a worker holds the batch) and
// testdata/v4-not-added.txt (ended, not on the list yet) are the shortest interleavings that show it. A worker that needs
// the inode lock ends in testdata/truncate-deadlock.txt: the deadlock that the patch removed.
//
// The questions of the patch's review:
//
//   - Must all flags change in one hold of the lock? No. One hold for each IOEnd is as safe: clearing Unwritten and
//     testing Queued belong together for each IOEnd, and so do clearing Queued and testing Unwritten of the work. Where
//     either pair is split over two holds, the IOEnd is freed twice, or while its work item still runs. One hold for all
//     costs less, so it stays.
//   - Does work queued unconditionally break anything? No. Each IOEnd then waits for its own work item, and most of these
//     find an empty list. It only costs.
//   - May a context drain one by one? Yes, if it goes on until the list was empty when it took the last IOEnd, and gives
//     up the claim on its own work only after that. A context that takes one for each work item loses writes, because work
//     is queued only when the list was empty. It costs one handle for each write instead of one for each batch.
package ioend
