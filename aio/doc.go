// Package aio is the block device under everything else: positioned reads and writes, explicit durability, and queues
// of direct I/O at high depth. It owns no bytes: its callers decide what is written.
//
//	Device   Open: a file or block device    Section: a part    Overlay: copy-on-write in memory
//	  |
//	Queue    io_uring, libaio, or the portable pool: one contract, which package devtest tests
//	  |
//	kernel   O_DIRECT, past the page cache; through the page cache if a file system has no direct I/O
//
// # Promises
//
// A write that was reaped without error before a Flush began is durable when the Flush has returned without error.
// Flush is fdatasync or its asynchronous form, and is never submitted before such a write was reaped. Nothing else is
// promised about the order of writes. Every offset, length and address works. A transfer that is not aligned to Align
// passes through one of a few bounce buffers. An error reaches the request that met it, and no other. A request
// allocates no memory.
//
// A device that is open for writing belongs to this process alone, as far as the system can tell: it is neither
// mounted, nor attached to a loop device, nor open in another ext4img. While a device is open for reading, no ext4img
// writes to it.
//
// # What it asks
//
// A request and its buffer belong to the queue from Submit to Reap. One goroutine submits and one reaps. Two requests in
// flight that share a unit of Align are carried out in any order, even if they share no byte.
// Buffers from an Arena known to the queue (Register) and a queue that one goroutine uses alone (Pin) are faster.
//
// The kernel may write to memory on the Go heap: the slot of a request keeps its buffer reachable, and Go does not
// move heap objects. An Arena and the rings lie outside the heap.
//
// scripts/bench/aio measures what matters for speed, and says so.
package aio
