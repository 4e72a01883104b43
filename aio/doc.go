// Package aio is the block device under everything else: positioned reads and writes, explicit durability, and
// queues of direct I/O at high depth. It owns no bytes of its own: what it writes is its caller's.
//
//	Device   Open: a file or block device    Section: a part    Overlay: copy-on-write in memory    Trace: a report of each I/O
//	  |
//	Queue    io_uring, libaio, or the portable pool: one contract, which package devtest tests
//	  |
//	kernel   O_DIRECT, past the page cache; page cache where a file system has no direct I/O
//
// # Promises
//
// What was reaped without error before a Flush began is durable when the Flush has returned without error: Flush is fdatasync, or
// its asynchronous form, and is never submitted ahead of what was reaped. Nothing else is promised about the order of writes.
// Every offset, length and address works; what is not a multiple of Align passes through one of a few bounce buffers.
// An error reaches the request that met it, and no other. Nothing allocates per request.
//
// A device opened for writing is this process's alone, as far as the system can tell: neither mounted, nor attached to a
// loop device, nor open in another ext4img; one opened for reading has no ext4img writing to it.
//
// # What it asks
//
// A request and its buffer belong to the queue from Submit to Reap. One goroutine submits and one reaps. Two requests in
// flight that share a unit of Align are carried out in any order, even if they share no byte.
// Buffers from an Arena known to the queue (Register) and a queue that one goroutine uses alone (Pin) are faster.
//
// Memory for the kernel to write to may be on the Go heap: the slot of a request keeps its buffer reachable, and Go does not move
// heap objects. An Arena lies outside, as do the rings.
//
// What was found to matter for speed stands where it is measured: scripts/bench/aio.
package aio
