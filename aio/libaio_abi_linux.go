package aio

// The kernel's interface of asynchronous I/O, as in include/uapi/linux/aio_abi.h. The ring in user space is struct
// aio_ring of fs/aio.c; its magic says that the layout is the one known here. TestLibaioABI checks sizes and offsets.

// iocb is struct iocb on a little-endian machine.
type iocb struct {
	data   uint64
	key    uint32
	_      int32 // aio_rw_flags
	opcode uint16
	_      int16 // aio_reqprio
	fd     uint32
	buf    uint64
	nbytes uint64
	offset int64
	_      uint64
	flags  uint32
	resfd  uint32
}

// ioEvent is struct io_event.
type ioEvent struct {
	data uint64
	obj  uint64
	res  int64
	res2 int64
}

// aioRing is the head of the ring of completions. The address of the context points to it.
type aioRing struct {
	id           uint32
	nr           uint32
	head         uint32
	tail         uint32
	magic        uint32
	compat       uint32
	incompat     uint32
	headerLength uint32
}

const (
	iocbPread  = 0
	iocbPwrite = 1
	iocbFdsync = 3

	aioRingMagic = 0xa10a10a1
)
