package journal

import (
	"errors"
	"time"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/journal/buf"
)

// Errors to be told apart with errors.Is.
var (
	// ErrCorrupt: the bytes on the device are wrong.
	ErrCorrupt = block.ErrCorrupt
	// ErrUnsupported: the bytes may be right, but this package cannot handle them.
	ErrUnsupported = block.ErrUnsupported
	// ErrNoCredits: the handle needs more blocks than it asked for, and the running transaction has no room for them. A
	// handle with a transaction of its own, Start(Whole), may have the room.
	ErrNoCredits = errors.New("no credits left in the transaction")
	// ErrTooLarge: the handle needs more blocks than any transaction in this log can hold.
	ErrTooLarge = errors.New("larger than a transaction")
	// ErrClosed: the journal, handle or view has ended.
	ErrClosed = errors.New("closed")
)

// A TID numbers a transaction. TIDs wrap around: compare them with Before.
type TID uint32

// Before reports whether t comes before u.
func (t TID) Before(u TID) bool { return int32(t-u) < 0 }

// A Reader reads metadata objects: a *Handle or a *View.
type Reader interface {
	// Read returns the object, verified. The bytes must not be modified, and are valid until the handle stops or
	// the view closes.
	Read(r buf.Ref) ([]byte, error)
}

var (
	_ Reader = (*Handle)(nil)
	_ Reader = (*View)(nil)
)

// Config is what Open needs to know.
type Config struct {
	Device    aio.Device
	BlockSize int    // of the file system, bytes
	Blocks    uint64 // of the file system: no home write beyond
	Log       *Area  // nil: no journal
	// Features are set in the journal superblock before the first commit, as the kernel does at mount: Feature64Bit
	// for a file system with 64bit, FeatureCsumV3 for one with metadata_csum. FeatureRevoke is added when needed.
	Features   Features
	CacheBytes int // bound for clean blocks; 0: 64 MiB
	// Activate is called once, before the first handle, while the log is still empty. It makes durable that the file
	// system needs recovery (see UpdateHome). The caller holds the handle lock: Activate must not start a handle or a
	// view. Objects that it wrote are read again afterwards.
	Activate func() error
	// Damaged, if not nil, is called with every object that was read and is not what it should be. The caller holds
	// or shares the handle lock: Damaged must not start a handle or a view.
	Damaged        func(*ObjectError)
	CommitInterval time.Duration    // 0: only callers and a full transaction cause commits
	Clock          func() time.Time // the time in commit blocks; nil: time.Now
}

// An Area is the place of a log.
type Area struct {
	Device    aio.Device // nil: the file system's
	Blocks    []Run      // of log blocks 0, 1, 2, … in order
	BlockSize int        // bytes; the file system's
	// Super is the log block that holds the journal superblock: 0 in a journal inode. An external journal numbers its
	// log blocks from the start of its device. Its superblock is in the first full block after the ext4 superblock:
	// block 1, or block 2 if blocks have 1 KiB.
	Super uint32
}

// A Run is Len contiguous device blocks from Phys on.
type Run struct {
	Phys uint64
	Len  uint32
}

// Features are the incompatible features of a journal superblock (s_feature_incompat).
type Features uint32

// The incompatible features, by their kernel names.
const (
	FeatureRevoke      Features = 0x01 // JBD2_FEATURE_INCOMPAT_REVOKE
	Feature64Bit       Features = 0x02 // JBD2_FEATURE_INCOMPAT_64BIT
	FeatureAsyncCommit Features = 0x04 // JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT
	FeatureCsumV2      Features = 0x08 // JBD2_FEATURE_INCOMPAT_CSUM_V2
	FeatureCsumV3      Features = 0x10 // JBD2_FEATURE_INCOMPAT_CSUM_V3
	FeatureFastCommit  Features = 0x20 // JBD2_FEATURE_INCOMPAT_FAST_COMMIT
)

// Stats counts what a journal has done since Open.
type Stats struct {
	Handles      uint64 // handles that stopped with changes
	Commits      uint64 // transactions written to the log
	Logged       uint64 // metadata blocks in them
	Revoked      uint64 // revoke records in them
	LogBytes     uint64 // bytes written to the log
	Checkpoints  uint64
	Home         uint64 // blocks written home
	CachedBlocks int
}
