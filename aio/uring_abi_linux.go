package aio

// The kernel's interface of io_uring, as in include/uapi/linux/io_uring.h. golang.org/x/sys has only its system call
// numbers. TestUringABI checks the sizes and offsets.

// uringSQE is struct io_uring_sqe.
type uringSQE struct {
	opcode   uint8
	flags    uint8
	ioprio   uint16
	fd       int32 // or the index of a registered file
	off      uint64
	addr     uint64
	len      uint32
	opFlags  uint32 // fsync_flags
	userData uint64
	bufIndex uint16
	_        uint16
	_        int32
	_        [2]uint64
}

// uringCQE is struct io_uring_cqe.
type uringCQE struct {
	userData uint64
	res      int32
	flags    uint32
}

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries    uint32
	cqEntries    uint32
	flags        uint32
	sqThreadCPU  uint32
	sqThreadIdle uint32
	features     uint32
	wqFD         uint32
	_            [3]uint32
	sq           uringSQOffsets
	cq           uringCQOffsets
}

// uringSQOffsets is struct io_sqring_offsets.
type uringSQOffsets struct {
	head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32
	_                                                           uint64
}

// uringCQOffsets is struct io_cqring_offsets.
type uringCQOffsets struct {
	head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32
	_                                                           uint64
}

// uringProbe is struct io_uring_probe with room for its operations.
type uringProbe struct {
	lastOp uint8
	opsLen uint8
	_      uint16
	_      [3]uint32
	ops    [64]uringProbeOp
}

// uringProbeOp is struct io_uring_probe_op.
type uringProbeOp struct {
	op    uint8
	_     uint8
	flags uint16
	_     uint32
}

const (
	uringOpFsync      = 3
	uringOpReadFixed  = 4
	uringOpWriteFixed = 5
	uringOpRead       = 22
	uringOpWrite      = 23

	uringSQEFixedFile  = 1 << 0
	uringFsyncDatasync = 1 << 0

	uringSetupClamp        = 1 << 4
	uringSetupRDisabled    = 1 << 6
	uringSetupCoopTaskrun  = 1 << 8
	uringSetupTaskrunFlag  = 1 << 9
	uringSetupSingleIssuer = 1 << 12
	uringSetupDeferTaskrun = 1 << 13
	uringSetupNoSQArray    = 1 << 16

	uringFeatSingleMmap = 1 << 0
	uringFeatNoDrop     = 1 << 1

	uringEnterGetevents = 1 << 0

	uringSQCQOverflow = 1 << 1
	uringSQTaskrun    = 1 << 2

	uringRegisterBuffers   = 0
	uringUnregisterBuffers = 1
	uringRegisterFiles     = 2
	uringUnregisterFiles   = 3
	uringRegisterProbe     = 8

	uringProbeSupported = 1 << 0

	uringOffSQRing = 0
	uringOffSQEs   = 0x10000000
)
