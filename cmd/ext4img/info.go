package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
)

func infoCommand() *cli.Command {
	return &cli.Command{
		Name:        "info",
		Usage:       "show the superblock, the journal's state and usage",
		ArgsUsage:   "IMAGE",
		Description: example("As dumpe2fs -h. A dirty image is shown as it would be after recovery.", "ext4img info disk.img", "ext4img info disk.img --json"),
		Flags:       []cli.Flag{jsonFlag()},
		Action:      info,
	}
}

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

func (e *errorInfo) text() string {
	t := fmt.Sprintf("%s, %s line %d", timeString(e.Time), e.Function, e.Line)
	if e.Inode != 0 {
		t += fmt.Sprintf(", inode %d", e.Inode)
	}
	if e.Block != 0 {
		t += fmt.Sprintf(", block %d", e.Block)
	}
	return t + ": " + e.Code
}

type deviceInfo struct {
	Bytes  int64  `json:"bytes"`
	Engine string `json:"engine"`
	Direct bool   `json:"direct"`
	Note   string `json:"note,omitempty"`
}

func info(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	path := c.Args().First()
	img, err := openImage(c, path, reading)
	if errors.Is(err, layout.ErrUnsupported) {
		return infoOnly(c, path, err)
	}
	if err != nil {
		return opError(c, "", err)
	}
	s, err := img.fs.Super()
	if err == nil {
		err = printInfo(c, newInfo(s, img.dev, img.fs.Recovery()))
	}
	if e := img.close(); err == nil {
		err = e
	}
	return opError(c, path, err)
}

// infoOnly shows the superblock of a file system that cannot be opened.
func infoOnly(c *cli.Context, path string, why error) error {
	i, err := superInfo(c, path)
	if err != nil {
		return err
	}
	complain(messages(c), "%v", opError(c, "", why))
	return printInfo(c, i)
}

// superInfo is what the superblock of an image says, whether or not the file system can be opened.
func superInfo(c *cli.Context, path string) (*imageInfo, error) {
	dev, err := openDevice(c, path, reading)
	if err != nil {
		return nil, opError(c, "", err)
	}
	defer dev.Close()
	p := make([]byte, layout.SuperSize)
	if _, err := dev.ReadAt(p, layout.SuperOffset); err != nil {
		return nil, opError(c, path, err)
	}
	s, err := layout.ParseSuperblock(p)
	if err != nil {
		return nil, opError(c, path, err)
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

func printInfo(c *cli.Context, i *imageInfo) error {
	if c.Bool("json") {
		return printJSON(c, i)
	}
	row := func(label, format string, args ...any) {
		say(c, "%-25s %s\n", label+":", fmt.Sprintf(format, args...))
	}
	bytes := func(blocks uint64) string { return humanize.IBytes(blocks * uint64(i.BlockSize)) }
	used := i.Blocks - i.BlocksFree
	row("Volume name", "%s", orNone(i.VolumeName))
	row("UUID", "%s", i.UUID)
	row("Features", "%s", strings.Join(i.Features, " "))
	row("State", "%s", i.State)
	row("Block size", "%d", i.BlockSize)
	if i.ClusterSize != 0 {
		row("Cluster size", "%d", i.ClusterSize)
	}
	row("Block count", "%d (%s)", i.Blocks, bytes(i.Blocks))
	row("Used blocks", "%d (%s, %d%%)", used, bytes(used), percent(used, i.Blocks))
	row("Free blocks", "%d (%s)", i.BlocksFree, bytes(i.BlocksFree))
	row("Reserved block count", "%d (%s)", i.BlocksReserved, bytes(i.BlocksReserved))
	row("Reserved for", "user %d, group %d", i.ReservedUID, i.ReservedGID)
	row("Inode count", "%d", i.Inodes)
	row("Free inodes", "%d", i.InodesFree)
	row("Inode size", "%d", i.InodeSize)
	row("Groups", "%d of %d blocks, %d inodes", i.Groups, i.super.BlocksPerGroup(), i.super.InodesPerGroup())
	if j := i.Journal; j != nil {
		row("Journal inode", "%d", j.Inode)
		row("Journal state", "%s", j.text())
	} else {
		row("Journal", "none")
	}
	row("Created", "%s", timeString(i.Created))
	row("Last written", "%s", timeString(i.LastWritten))
	row("Last checked", "%s", timeString(i.LastChecked))
	row("Last mounted on", "%s", orNone(i.LastMounted))
	row("Errors behaviour", "%s", errorsName(i.super.Errors()))
	if e := i.Errors; e != nil {
		row("FS Error count", "%d", e.Count)
		if e.First != nil {
			row("First error", "%s", e.First.text())
		}
		if e.Last != nil {
			row("Last error", "%s", e.Last.text())
		}
	}
	row("Checksum", "0x%08x", i.super.Checksum())
	row("Device", "%s, engine %s, %s", humanize.IBytes(uint64(i.Device.Bytes)), i.Device.Engine, directName(i.Device))
	return nil
}

func (j *journalInfo) text() string {
	if j.State == "clean" {
		return j.State
	}
	return fmt.Sprintf("%s: %d transactions, %d fast commits; shown as after recovery", j.State, j.Transactions, j.FastCommits)
}

func directName(d deviceInfo) string {
	if d.Direct {
		return "direct I/O"
	}
	return "buffered I/O: " + d.Note
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func percent(n, of uint64) uint64 {
	if of == 0 {
		return 0
	}
	return uint64(float64(n) / float64(of) * 100)
}

func uuidString(u []byte) string {
	h := hex.EncodeToString(u)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func fromUnix(t uint32) time.Time { return time.Unix(int64(t), 0).UTC() }

func timeString(t time.Time) string {
	if t.Unix() == 0 {
		return "n/a"
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

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

// errorsName is s_errors.
func errorsName(e uint16) string {
	switch e {
	case 1:
		return "continue"
	case 2:
		return "remount read-only"
	case 3:
		return "panic"
	}
	return fmt.Sprintf("unknown (%d)", e)
}
