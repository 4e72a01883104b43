package aio

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A ring is the memory shared with the kernel and the system calls on it.
//
// Both rings have one producer and one consumer. The producer fills entries and then stores the tail; the consumer
// loads the tail, reads entries and then stores the head. Loads and stores of sync/atomic are ordered at least as
// strongly as the acquire and release that the kernel uses. So no entry is read before it is complete, and none is
// overwritten before it was read. The indices run freely in 32 bits; the mask takes them to an entry.
type ring struct {
	fd     int
	rings  []byte // both rings: a kernel without FEAT_SINGLE_MMAP is refused
	sqeMem []byte
	params uringParams

	sqHead, sqTail, sqFlags *uint32
	cqHead, cqTail          *uint32
	sqMask, cqMask          uint32
	sqes                    []uringSQE
	cqes                    []uringCQE
	tail                    uint32 // tail of the submission ring, as far as we filled it

	hasFile, hasBuffer bool // a file, a buffer is registered
}

// newRing makes a ring for entries requests. It uses the first of the lists of set-up flags that this kernel accepts.
func newRing(entries int, pinned bool) (*ring, error) {
	flags := []uint32{uringSetupNoSQArray, 0}
	if pinned {
		defers := uint32(uringSetupSingleIssuer | uringSetupDeferTaskrun | uringSetupTaskrunFlag)
		coop := uint32(uringSetupCoopTaskrun | uringSetupTaskrunFlag)
		flags = []uint32{defers | uringSetupNoSQArray, defers, coop, 0}
	}
	var err error
	for _, f := range flags {
		var r *ring
		if r, err = setupRing(entries, f); err == nil || !errors.Is(err, unix.EINVAL) {
			return r, err
		}
	}
	return nil, err
}

func setupRing(entries int, flags uint32) (*ring, error) {
	r := &ring{params: uringParams{flags: flags}}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&r.params)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	r.fd = int(fd)
	if err := r.mapRings(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ring) mapRings() error {
	const need = uringFeatSingleMmap | uringFeatNoDrop
	p := &r.params
	if p.features&need != need {
		return errors.New("io_uring: this kernel's is older than Linux 5.5")
	}
	size := int(p.cq.cqes) + int(p.cqEntries)*int(unsafe.Sizeof(uringCQE{}))
	if p.flags&uringSetupNoSQArray == 0 {
		size = max(size, int(p.sq.array)+int(p.sqEntries)*4)
	}
	var err error
	if r.rings, err = unix.Mmap(r.fd, uringOffSQRing, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("io_uring: map the rings: %w", err)
	}
	size = int(p.sqEntries) * int(unsafe.Sizeof(uringSQE{}))
	if r.sqeMem, err = unix.Mmap(r.fd, uringOffSQEs, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("io_uring: map the submission entries: %w", err)
	}
	at := func(off uint32) unsafe.Pointer { return unsafe.Pointer(&r.rings[off]) }
	r.sqHead, r.sqTail, r.sqFlags = (*uint32)(at(p.sq.head)), (*uint32)(at(p.sq.tail)), (*uint32)(at(p.sq.flags))
	r.cqHead, r.cqTail = (*uint32)(at(p.cq.head)), (*uint32)(at(p.cq.tail))
	r.sqMask, r.cqMask = *(*uint32)(at(p.sq.ringMask)), *(*uint32)(at(p.cq.ringMask))
	r.sqes = unsafe.Slice((*uringSQE)(unsafe.Pointer(&r.sqeMem[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*uringCQE)(at(p.cq.cqes)), p.cqEntries)
	r.tail = atomic.LoadUint32(r.sqTail)
	if p.flags&uringSetupNoSQArray == 0 {
		array := unsafe.Slice((*uint32)(at(p.sq.array)), p.sqEntries)
		for i := range array {
			array[i] = uint32(i) // slot i of the array always points to entry i
		}
	}
	return nil
}

// next returns the entry to fill. There is always room: the ring is as long as the queue is deep.
func (r *ring) next() *uringSQE {
	e := &r.sqes[r.tail&r.sqMask]
	r.tail++
	return e
}

// publish shows the kernel the entries filled since the last time.
func (r *ring) publish() { atomic.StoreUint32(r.sqTail, r.tail) }

// unsubmitted is the number of published entries that the kernel has not taken.
func (r *ring) unsubmitted() uint32 { return r.tail - atomic.LoadUint32(r.sqHead) }

// enter is the system call: it submits n entries and waits until at least wait completions are there.
func (r *ring) enter(n, wait, flags uint32) (int, error) {
	got, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(n), uintptr(wait), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}

// needsEnter reports whether the kernel holds completions back that only the next enter puts into the ring.
func (r *ring) needsEnter() bool {
	return atomic.LoadUint32(r.sqFlags)&(uringSQCQOverflow|uringSQTaskrun) != 0
}

func (r *ring) register(op uint32, arg unsafe.Pointer, n int) error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), uintptr(op), uintptr(arg), uintptr(n), 0, 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_register %d: %w", op, errno)
	}
	return nil
}

// registerFile makes fd the registered file 0.
func (r *ring) registerFile(fd int) error {
	fds := [1]int32{int32(fd)}
	err := r.register(uringRegisterFiles, unsafe.Pointer(&fds), 1)
	r.hasFile = err == nil
	return err
}

// registerBuffer makes mem the registered buffer 0.
func (r *ring) registerBuffer(mem []byte) error {
	iov := unix.Iovec{Base: unsafe.SliceData(mem)}
	iov.SetLen(len(mem))
	err := r.register(uringRegisterBuffers, unsafe.Pointer(&iov), 1)
	runtime.KeepAlive(mem)
	r.hasBuffer = err == nil
	return err
}

// probe checks that the kernel has every operation that the queue uses, and that no filter forbids enter.
func (r *ring) probe() error {
	if _, err := r.enter(0, 0, 0); err != nil && err != unix.EINTR {
		return fmt.Errorf("io_uring_enter: %w", err)
	}
	var p uringProbe
	if err := r.register(uringRegisterProbe, unsafe.Pointer(&p), len(p.ops)); err != nil {
		return err
	}
	for _, op := range []uint8{uringOpFsync, uringOpReadFixed, uringOpWriteFixed, uringOpRead, uringOpWrite} {
		if op > p.lastOp || p.ops[op].flags&uringProbeSupported == 0 {
			return fmt.Errorf("io_uring: this kernel has no operation %d", op)
		}
	}
	return nil
}

// close ends the ring. It first unregisters file and buffer: the kernel frees the ring a while later, and until then
// a registered file would stay busy although it is closed.
func (r *ring) close() {
	if r.hasFile {
		r.register(uringUnregisterFiles, nil, 0)
	}
	if r.hasBuffer {
		r.register(uringUnregisterBuffers, nil, 0)
	}
	if r.rings != nil {
		unix.Munmap(r.rings)
	}
	if r.sqeMem != nil {
		unix.Munmap(r.sqeMem)
	}
	unix.Close(r.fd)
}
