package main

import (
	"fmt"
	"strings"

	"ext4img/journal"

	"github.com/urfave/cli/v2"
)

func journalCommand() *cli.Command {
	return &cli.Command{
		Name:        "journal",
		Usage:       "show or recover the journal",
		ArgsUsage:   "show|recover IMAGE",
		Description: example("", "ext4img journal show disk.img", "ext4img journal recover disk.img"),
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "print the log, block by block", ArgsUsage: "IMAGE",
				Description: example("Changes nothing.", "ext4img journal show disk.img"),
				Flags:       []cli.Flag{jsonFlag(), &cli.BoolFlag{Name: "tags", Usage: "the blocks of each transaction as well"}},
				Action:      action(parseJournalShow, journalShow),
			},
			{
				Name: "recover", Usage: "recover the journal and the orphans, nothing else", ArgsUsage: "IMAGE",
				Description: example("", "ext4img journal recover disk.img"),
				Flags:       []cli.Flag{jsonFlag()},
				Action:      action(parseImage, journalRecover),
			},
		},
		Action: noSubcommand,
	}
}

// recoverResult is the JSON of journal recover.
type recoverResult struct {
	Recovered    bool   `json:"recovered"` // false: the log was clean
	Transactions int    `json:"transactions"`
	Blocks       int    `json:"blocks"`
	Revoked      int    `json:"revoked"`
	FastCommits  int    `json:"fast_commits"`
	First        uint32 `json:"first"`
	Next         uint32 `json:"next"`
}

func journalRecover(e *env, o imageOptions) error {
	return withImage(e, o.image, writing, func(img *image) error {
		var res recoverResult
		if r := img.fs.Recovery(); r != nil {
			res = recoverResult{true, r.Transactions, r.Blocks, r.Revoked, len(r.Fast), uint32(r.First), uint32(r.Next)}
		}
		switch {
		case o.json:
			return printJSON(e, res)
		case !res.Recovered:
			say(e, "%s: the journal is clean\n", img.path)
		default:
			say(e, "%s: recovered: %d transactions from %d on, %d blocks, %d revoked, %d fast commits\n", img.path,
				res.Transactions, res.First, res.Blocks, res.Revoked, res.FastCommits)
		}
		return nil
	})
}

// logInfo is the JSON of journal show.
type logInfo struct {
	Version   int        `json:"version"`
	BlockSize int        `json:"block_size"`
	Blocks    uint32     `json:"blocks"`
	Start     uint32     `json:"start"` // 0: the log is empty
	Sequence  uint32     `json:"sequence"`
	Features  uint32     `json:"features"`
	Fast      uint32     `json:"fast_commit_blocks"`
	Errno     int32      `json:"errno"`
	Entries   []logEntry `json:"entries"`
}

type logEntry struct {
	Kind    string   `json:"kind"`
	Block   uint32   `json:"block"`
	TID     uint32   `json:"tid"`
	SumOK   bool     `json:"checksum_good"`
	Tags    []logTag `json:"tags,omitempty"`
	Revoked []uint64 `json:"revoked,omitempty"`
	Text    string   `json:"text,omitempty"`
}

type logTag struct {
	Home  uint64 `json:"home"`
	Log   uint32 `json:"log"`
	SumOK bool   `json:"checksum_good"`
}

// journalShowOptions are the flags and arguments of journal show.
type journalShowOptions struct {
	imageOptions
	tags bool
}

func parseJournalShow(c *cli.Context) (o journalShowOptions, err error) {
	o.tags = c.Bool("tags")
	o.imageOptions, err = parseImage(c)
	return o, err
}

func journalShow(e *env, o journalShowOptions) error {
	return withDumper(e, o.image, true, func(d *dumper) error {
		log, err := openLog(e, reading)
		if err != nil {
			return err
		}
		defer closeLog(log)
		area, err := d.logArea(log)
		if err != nil {
			return err
		}
		i, err := journal.ReadInfo(d.dev, *area)
		if err != nil {
			return err
		}
		info := logInfo{
			Version: i.Version, BlockSize: i.BlockSize, Blocks: i.Blocks, Start: i.Start, Sequence: uint32(i.Sequence),
			Features: uint32(i.Features), Fast: i.FastBlocks, Errno: i.Errno, Entries: []logEntry{},
		}
		if !o.json {
			info.print(e)
		}
		err = journal.Show(d.dev, *area, func(le journal.Entry) error {
			if err := e.ctx.Err(); err != nil {
				return err
			}
			entry := newLogEntry(le)
			if o.json {
				info.Entries = append(info.Entries, entry)
			} else {
				entry.print(e, o.tags)
			}
			return nil
		})
		if err == nil && o.json {
			err = printJSON(e, info)
		}
		return err
	})
}

func (i *logInfo) print(e *env) {
	state := fmt.Sprintf("starts at block %d", i.Start)
	if i.Start == 0 {
		state = "empty"
	}
	say(e, "journal version %d, %d blocks of %d bytes, features 0x%x, %d for fast commits, next transaction %d, %s\n",
		i.Version, i.Blocks, i.BlockSize, i.Features, i.Fast, i.Sequence, state)
	if i.Errno != 0 {
		say(e, "s_errno %d\n", i.Errno)
	}
}

func newLogEntry(e journal.Entry) logEntry {
	l := logEntry{Block: e.Block, TID: uint32(e.TID), SumOK: e.SumOK, Revoked: e.Revoked}
	for _, t := range e.Tags {
		l.Tags = append(l.Tags, logTag{t.Block, t.Log, t.SumOK})
	}
	switch e.Kind {
	case journal.KindDescriptor:
		l.Kind = "descriptor"
		l.Text = fmt.Sprintf("%d blocks", len(e.Tags))
	case journal.KindCommit:
		l.Kind, l.Text = "commit", stamp(e.Time)
	case journal.KindRevoke:
		l.Kind, l.Text = "revoke", fmt.Sprintf("%d blocks", len(e.Revoked))
	case journal.KindFast:
		l.Kind, l.Text = "fast", fastText(e.Record)
	default:
		l.Kind = "end"
		l.Text = "no block of the log"
		if e.Magic {
			l.Text = fmt.Sprintf("a block of type %d of transaction %d", e.FoundType, e.Found)
		}
	}
	return l
}

// fastText is a fast commit record in words: the bytes of an inode left out.
func fastText(r journal.FastRecord) string {
	if in, ok := r.(journal.FastInode); ok {
		return fmt.Sprintf("Inode {Ino:%d Raw:%d bytes}", in.Ino, len(in.Raw))
	}
	return strings.TrimPrefix(fmt.Sprintf("%T %+v", r, r), "journal.Fast")
}

func (l *logEntry) print(e *env, tags bool) {
	bad := ""
	if !l.SumOK {
		bad = ", wrong checksum"
	}
	say(e, "block %6d  transaction %6d  %-10s %s%s\n", l.Block, l.TID, l.Kind, l.Text, bad)
	if !tags {
		return
	}
	for _, t := range l.Tags {
		bad := ""
		if !t.SumOK {
			bad = "  wrong checksum"
		}
		say(e, "        block %d: home %d%s\n", t.Log, t.Home, bad)
	}
	for _, b := range l.Revoked {
		say(e, "        home %d\n", b)
	}
}
