package main

import (
	"encoding/hex"
	"time"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// imageInfo is what info prints, and its JSON.
type imageInfo struct {
	VolumeName     string       `json:"volume_name"`
	UUID           string       `json:"uuid"`
	Features       []string     `json:"features"`
	State          string       `json:"state"`
	BlockSize      int64        `json:"block_size"`
	Blocks         uint64       `json:"blocks"`
	BlocksFree     uint64       `json:"blocks_free"`
	BlocksReserved uint64       `json:"blocks_reserved"`
	ReservedUID    uint32       `json:"reserved_uid"`
	ReservedGID    uint32       `json:"reserved_gid"`
	Inodes         uint32       `json:"inodes"`
	InodesFree     uint32       `json:"inodes_free"`
	InodeSize      uint16       `json:"inode_size"`
	Groups         uint64       `json:"groups"`
	ClusterSize    int64        `json:"cluster_size,omitempty"`
	Journal        *journalInfo `json:"journal,omitempty"`
	Created        time.Time    `json:"created"`
	LastWritten    time.Time    `json:"last_written"`
	LastMounted    string       `json:"last_mounted,omitempty"`
	LastChecked    time.Time    `json:"last_checked"`
	Errors         *errorsInfo  `json:"errors,omitempty"`
	Device         deviceInfo   `json:"device"`

	super layout.Superblock
}

type journalInfo struct {
	Inode        uint32 `json:"inode,omitempty"`
	State        string `json:"state"` // clean, or recovered: it was dirty
	Transactions int    `json:"transactions"`
	FastCommits  int    `json:"fast_commits"`
}

// errorsInfo is what the superblock tells of errors that were seen.
type errorsInfo struct {
	Count uint32     `json:"count"`
	First *errorInfo `json:"first,omitempty"`
	Last  *errorInfo `json:"last,omitempty"`
}

type errorInfo struct {
	Time     time.Time `json:"time"`
	Function string    `json:"function"`
	Line     uint32    `json:"line"`
	Inode    uint32    `json:"inode,omitempty"`
	Block    uint64    `json:"block,omitempty"`
	Code     string    `json:"code"`
}

func newErrorsInfo(s layout.Superblock) *errorsInfo {
	if s.ErrorCount() == 0 && s.State()&layout.StateErrors == 0 {
		return nil
	}
	return &errorsInfo{s.ErrorCount(), newErrorInfo(s.FirstError()), newErrorInfo(s.LastError())}
}

func newErrorInfo(e layout.ErrorRecord) *errorInfo {
	if e.Time.IsZero() {
		return nil
	}
	return &errorInfo{e.Time, e.Func, e.Line, e.Ino, e.Block, e.CodeName()}
}

type deviceInfo struct {
	Bytes  int64  `json:"bytes"`
	Engine string `json:"engine"`
	Direct bool   `json:"direct"`
	Note   string `json:"note,omitempty"`
}

// superInfo is what the superblock of an image says, whether or not the file system can be opened.
func superInfo(e *env, path string) (*imageInfo, error) {
	dev, err := openDevice(e, path, reading)
	if err != nil {
		return nil, opError(e, path, err)
	}
	defer dev.Close()
	p := make([]byte, layout.SuperSize)
	if _, err := dev.ReadAt(p, layout.SuperOffset); err != nil {
		return nil, opError(e, path, err)
	}
	s, err := layout.ParseSuperblock(p)
	if err != nil {
		return nil, opError(e, path, err)
	}
	return newInfo(s, dev, nil), nil
}

func newInfo(s layout.Superblock, dev aio.Device, rec *journal.Recovery) *imageInfo {
	i := &imageInfo{
		VolumeName: s.VolumeName(), UUID: uuidString(s.UUID()), State: stateName(s.State()),
		BlockSize: 1024 << s.LogBlockSize(), Blocks: s.BlocksCount(), BlocksFree: s.FreeBlocksCount(), BlocksReserved: s.ReservedBlocksCount(),
		ReservedUID: s.DefResuid(), ReservedGID: s.DefResgid(),
		Inodes: s.InodesCount(), InodesFree: s.FreeInodesCount(), InodeSize: s.InodeSize(),
		Created: fromUnix(s.MkfsTime()), LastWritten: fromUnix(s.Wtime()), LastChecked: fromUnix(s.LastCheck()), LastMounted: s.LastMounted(),
		super: s,
	}
	i.Features = append(append(s.FeatureCompat().Names(), s.FeatureIncompat().Names()...), s.FeatureROCompat().Names()...)
	if per := uint64(s.BlocksPerGroup()); per > 0 {
		i.Groups = (i.Blocks - uint64(s.FirstDataBlock()) + per - 1) / per
	}
	if s.FeatureROCompat()&layout.ROCompatBigalloc != 0 {
		i.ClusterSize = 1024 << s.LogClusterSize()
	}
	if s.FeatureCompat()&layout.CompatHasJournal != 0 {
		i.Journal = &journalInfo{Inode: s.JournalInum(), State: "clean"}
		if s.FeatureIncompat()&layout.IncompatRecover != 0 {
			i.Journal.State = "needs recovery"
		}
		if rec != nil {
			i.Journal = &journalInfo{s.JournalInum(), "needs recovery", rec.Transactions, len(rec.Fast)}
		}
	}
	i.Errors = newErrorsInfo(s)
	d := aio.Describe(dev)
	i.Device = deviceInfo{dev.Size(), d.Engine, d.Direct, d.Reason}
	return i
}

func uuidString(u []byte) string {
	h := hex.EncodeToString(u)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func fromUnix(t uint32) time.Time { return time.Unix(int64(t), 0).UTC() }

// stateName is s_state in dumpe2fs's words.
func stateName(s uint16) string {
	name := "not clean"
	if s&1 != 0 {
		name = "clean"
	}
	if s&2 != 0 {
		name += " with errors"
	}
	if s&4 != 0 {
		name += ", orphans being recovered"
	}
	return name
}
