package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"ext4img/ext4/layout"

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
		Action:      action(parseImage, info),
	}
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

func info(e *env, o imageOptions) error {
	img, err := openImage(e, o.image, reading)
	if errors.Is(err, layout.ErrUnsupported) {
		return infoOnly(e, o, err)
	}
	if err != nil {
		return opError(e, o.image, err)
	}
	s, err := img.fs.Super()
	if err == nil {
		err = printInfo(e, newInfo(s, img.dev, img.fs.Recovery()), o.json)
	}
	if e := img.close(); err == nil {
		err = e
	}
	return opError(e, o.image, err)
}

// infoOnly shows the superblock of a file system that cannot be opened.
func infoOnly(e *env, o imageOptions, why error) error {
	i, err := superInfo(e, o.image)
	if err != nil {
		return err
	}
	complain(messages(e), "%v", opError(e, o.image, why))
	return printInfo(e, i, o.json)
}

func printInfo(e *env, i *imageInfo, asJSON bool) error {
	if asJSON {
		return printJSON(e, i)
	}
	row := func(label, format string, args ...any) {
		say(e, "%-25s %s\n", label+":", fmt.Sprintf(format, args...))
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
	if seen := i.Errors; seen != nil {
		row("FS Error count", "%d", seen.Count)
		if seen.First != nil {
			row("First error", "%s", seen.First.text())
		}
		if seen.Last != nil {
			row("Last error", "%s", seen.Last.text())
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

func timeString(t time.Time) string {
	if t.Unix() == 0 {
		return "n/a"
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
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
