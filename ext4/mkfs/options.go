package mkfs

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"time"

	"ext4img/ext4/layout"
)

// Options describes a new file system. The zero value stands for mke2fs -t ext4 without further flags.
type Options struct {
	Type        string // ext2, ext3, ext4; "": ext4
	Features    string // changes to the type's features, as mke2fs -O
	Blocks      uint64 // 0: computed from Bytes
	Bytes       uint64 // the size, if Blocks is 0; 0: that of the device, in whole pages of 4096 bytes
	BlockSize   int    // bytes; 0: 1024 for file systems smaller than 512 MiB, else 4096
	ClusterSize int    // bytes, with bigalloc; 0: 16 blocks
	Label       string // at most 16 bytes
	UUID        [16]byte
	HashSeed    [16]byte  // zero: derived from the UUID
	Time        time.Time // zero: SOURCE_DATE_EPOCH, else now
	JournalSize uint64    // bytes; 0: depends on the size of the file system

	Inodes        uint64 // 0: computed from BytesPerInode
	InodeSize     int    // bytes; 0: 256
	BytesPerInode uint64 // 0: depends on the size of the file system

	ReservedPercent *float64 // blocks for root; nil: 5
	GroupsPerFlex   uint32   // 0: 16
	BlocksPerGroup  uint32   // 0: as many as a bitmap of one block counts
	ResizeBlocks    uint64   // room to grow to, with resize_inode; 0: 1024 times the size
	Stride, Stripe  uint32   // of a RAID, in blocks

	// Zeroed says that the whole device reads as zeros, like a file that was just truncated to its size.
	Zeroed bool
}

const (
	mib = 1 << 20
	tib = 1 << 40

	pageSize = 4096
)

// A class is a usage type of mke2fs.conf: the defaults for file systems of some size.
type class struct {
	below         uint64 // bytes
	blockSize     int
	bytesPerInode uint64
}

var classes = []class{
	{3 * mib, 1024, 8192},
	{512 * mib, 1024, 4096},
	{4 * tib, 4096, 16384},
	{16 * tib, 4096, 32768},
	{1<<64 - 1, 4096, 65536},
}

func classOf(bytes uint64) class {
	for _, c := range classes {
		if bytes < c.below {
			return c
		}
	}
	return classes[len(classes)-1]
}

// bytesPerInode is the default: one inode for as many bytes as the class says, but at least for each cluster.
func (o Options) bytesPerInode(cluster int) uint64 {
	return max(classOf(o.Blocks*uint64(o.BlockSize)).bytesPerInode, uint64(cluster))
}

// complete checks the options and fills in the defaults for a device of size bytes.
func (o Options) complete(size int64) (Options, error) {
	bytes := uint64(size)
	switch {
	case o.Blocks != 0 && o.BlockSize != 0:
		bytes = o.Blocks * uint64(o.BlockSize)
	case o.Bytes != 0:
		bytes = o.Bytes
	}
	c := classOf(bytes)
	if o.BlockSize == 0 {
		o.BlockSize = c.blockSize
	}
	if !power(o.BlockSize, layout.MinBlockSize, layout.MaxBlockSize) {
		return o, fmt.Errorf("block size %d: want a power of two from 1024 to 65536", o.BlockSize)
	}
	if o.Blocks == 0 {
		if o.Bytes == 0 {
			bytes &^= pageSize - 1
		}
		o.Blocks = bytes / uint64(o.BlockSize)
	}
	if o.Blocks > uint64(size)/uint64(o.BlockSize) {
		return o, fmt.Errorf("%d blocks of %d bytes: the device has %d bytes", o.Blocks, o.BlockSize, size)
	}
	if o.InodeSize == 0 {
		o.InodeSize = 256
	}
	if !power(o.InodeSize, layout.GoodOldInodeSize, o.BlockSize) {
		return o, fmt.Errorf("inode size %d: want a power of two from 128 to the block size", o.InodeSize)
	}
	if o.BytesPerInode != 0 && o.BytesPerInode < 1024 {
		return o, fmt.Errorf("%d bytes per inode: want at least 1024", o.BytesPerInode)
	}
	if o.ReservedPercent == nil {
		five := 5.0
		o.ReservedPercent = &five
	}
	if p := *o.ReservedPercent; !(p >= 0 && p <= 50) {
		return o, fmt.Errorf("%v%% reserved: want 0 to 50", p)
	}
	if o.GroupsPerFlex == 0 {
		o.GroupsPerFlex = 16
	}
	if bits.OnesCount32(o.GroupsPerFlex) != 1 {
		return o, fmt.Errorf("%d groups in a flex group: want a power of two", o.GroupsPerFlex)
	}
	if len(o.Label) > 16 {
		return o, fmt.Errorf("label %q: longer than 16 bytes", o.Label)
	}
	return o.identity()
}

// identity fills in the values that differ between file systems. The hash seed is derived from the UUID, so that a
// fixed UUID fixes every byte.
func (o Options) identity() (Options, error) {
	if o.UUID == ([16]byte{}) {
		if _, err := rand.Read(o.UUID[:]); err != nil {
			return o, err
		}
		version4(&o.UUID)
	}
	if o.HashSeed == ([16]byte{}) {
		sum := sha256.Sum256(append([]byte("hash seed of "), o.UUID[:]...))
		o.HashSeed = [16]byte(sum[:16])
		version4(&o.HashSeed)
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
		if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
			seconds, err := strconv.ParseInt(epoch, 10, 64)
			if err != nil {
				return o, fmt.Errorf("SOURCE_DATE_EPOCH=%q: want seconds since 1970", epoch)
			}
			o.Time = time.Unix(seconds, 0)
		}
	}
	o.Time = o.Time.Truncate(time.Second)
	return o, nil
}

// version4 marks 16 random bytes as a UUID of version 4.
func version4(u *[16]byte) {
	u[6] = u[6]&0x0F | 0x40
	u[8] = u[8]&0x3F | 0x80
}

func power(n, low, high int) bool {
	return n >= low && n <= high && bits.OnesCount(uint(n)) == 1
}
