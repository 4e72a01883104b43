package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"ext4img/ext4/layout"

	"github.com/urfave/cli/v2"
)

func dumpCommand() *cli.Command {
	sub := func(use, usage, args, eg string, show func(d *dumper) error) *cli.Command {
		return &cli.Command{
			Name: use, Usage: usage, ArgsUsage: args, Description: example("", eg),
			Action: action(parseDump, func(e *env, o dumpOptions) error { return dump(e, o, show) }),
		}
	}
	return &cli.Command{
		Name:        "dump",
		Usage:       "print annotated bytes, as they are on the device",
		ArgsUsage:   "super|group N|inode N|block N IMAGE",
		Description: example("A dirty journal is not recovered: this shows what is there.", "ext4img dump inode 12 disk.img"),
		Subcommands: []*cli.Command{
			sub("super", "the superblock", "IMAGE", "ext4img dump super disk.img", (*dumper).super),
			sub("group", "a group descriptor", "N IMAGE", "ext4img dump group 0 disk.img", (*dumper).group),
			sub("inode", "an inode, its attributes and its map's root", "N IMAGE", "ext4img dump inode 12 disk.img", (*dumper).inode),
			sub("block", "a block", "N IMAGE", "ext4img dump block 1024 disk.img", (*dumper).block),
		},
		Action: noSubcommand,
	}
}

// dumpOptions are the arguments of dump's subcommands.
type dumpOptions struct {
	image string
	super bool
	n     uint64 // of a group, inode or block
}

func parseDump(c *cli.Context) (o dumpOptions, err error) {
	if o.super = c.Command.Name == "super"; o.super {
		o.image = c.Args().First()
		return o, need(c, 1, 1)
	}
	if err := need(c, 2, 2); err != nil {
		return o, err
	}
	o.image = c.Args().Get(1)
	if o.n, err = strconv.ParseUint(c.Args().First(), 0, 64); err != nil {
		return o, usagef(c, "%q: want a number", c.Args().First())
	}
	return o, nil
}

func dump(e *env, o dumpOptions, show func(d *dumper) error) error {
	return withDumper(e, o.image, !o.super, func(d *dumper) error {
		d.n = o.n
		return show(d)
	})
}

// field is a named piece of a record.
type field struct {
	off, n int
	name   string
}

// fields prints a record field by field: little-endian numbers, or text and UUIDs as bytes.
func (d *dumper) fields(p []byte, list []field) {
	for _, f := range list {
		if f.off+f.n > len(p) {
			break
		}
		b := p[f.off : f.off+f.n]
		value := ""
		switch f.n {
		case 1, 2, 4, 8:
			v := uint64(0)
			for i := f.n - 1; i >= 0; i-- {
				v = v<<8 | uint64(b[i])
			}
			value = fmt.Sprintf("%-12d 0x%0*x", v, 2*f.n, v)
		default:
			value = hex.EncodeToString(b)
			if text := strings.TrimRight(string(b), "\x00"); f.n == 16 && text != "" && isText(text) {
				value += "  \"" + text + "\""
			}
		}
		say(d.e, "0x%03x  %-26s %s\n", f.off, f.name, value)
	}
}

func isText(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

func (d *dumper) super() error {
	d.fields(d.sb, superFields)
	d.verdict(d.sb.VerifyChecksum())
	return nil
}

// verdict says whether the checksum is right.
func (d *dumper) verdict(err error) {
	if err != nil {
		say(d.e, "\n%v\n", err)
		return
	}
	say(d.e, "\nchecksum and structure: good\n")
}

func (d *dumper) group() error {
	if d.n >= uint64(d.geo.Groups) {
		return fmt.Errorf("group %d: there are %d", d.n, d.geo.Groups)
	}
	g := layout.Group(d.n)
	desc, err := d.desc(g)
	if err != nil {
		return err
	}
	p, off := d.geo.DescLoc(g)
	say(d.e, "group %d: blocks %d to %d; descriptor in block %d at byte %d\n\n", g, d.geo.GroupFirst(g),
		uint64(d.geo.GroupFirst(g))+uint64(d.geo.GroupBlocks(g))-1, p, off)
	d.fields(desc, descFields)
	d.verdict(layout.DescType{G: d.geo, Group: g}.Verify(desc))
	return nil
}

func (d *dumper) inode() error {
	if d.n > 1<<32-1 || !d.geo.ValidIno(layout.Ino(d.n)) {
		return fmt.Errorf("inode %d: there are %d", d.n, d.geo.Inodes)
	}
	ino := layout.Ino(d.n)
	in, block, off, err := d.readInode(ino)
	if err != nil {
		return err
	}
	g, _ := d.geo.InodeGroup(ino)
	say(d.e, "inode %d: group %d, block %d at byte %d; flags %v\n\n", ino, g, block, off, flagNames(in.Flags()))
	d.fields(in, inodeFields)
	if in.HasFlag(layout.FlagExtents) {
		d.extentNode(in.Block(), "i_block")
	}
	if xattrs, err := d.geo.InodeXattrs(in); err == nil && len(xattrs) > 0 {
		say(d.e, "\nattributes in the inode: %d\n", len(xattrs))
	}
	d.verdict(layout.InodeType{G: d.geo, Ino: ino}.Verify(in))
	return nil
}

// extentNode prints a node of an extent tree.
func (d *dumper) extentNode(p []byte, what string) {
	say(d.e, "\nextent node in %s:\n", what)
	d.fields(p, []field{{0, 2, "eh_magic"}, {2, 2, "eh_entries"}, {4, 2, "eh_max"}, {6, 2, "eh_depth"}, {8, 4, "eh_generation"}})
	n, err := layout.ParseExtentNode(p)
	if err != nil {
		say(d.e, "%v\n", err)
		return
	}
	for i := range n.Entries() {
		if n.Depth() > 0 {
			x := n.Index(i)
			say(d.e, "%4d: from %d: node in block %d\n", i, x.Lblk, x.Child)
			continue
		}
		e := n.Extent(i)
		state := written
		if e.Unwritten {
			state = unwritten
		}
		say(d.e, "%4d: %d+%d at %d %s\n", i, e.Lblk, e.Len, e.Pblk, state)
	}
}

func (d *dumper) block() error {
	if d.n >= d.geo.Blocks {
		return fmt.Errorf("block %d: there are %d", d.n, d.geo.Blocks)
	}
	p, err := d.readBlock(layout.Pblk(d.n), 0, d.geo.BlockSize)
	if err != nil {
		return err
	}
	g, idx := d.geo.GroupOf(layout.Pblk(d.n))
	say(d.e, "block %d: group %d, block %d of it%s\n\n", d.n, g, idx, d.role(g, layout.Pblk(d.n)))
	say(d.e, "%s", ours(hex.Dump(p)))
	if len(p) > 12 && p[0] == 0x0A && p[1] == 0xF3 {
		d.extentNode(p, "the block")
	}
	return nil
}

// role says what fixed metadata a block is.
func (d *dumper) role(g layout.Group, p layout.Pblk) string {
	if p < d.geo.GroupFirst(g)+layout.Pblk(d.geo.OverheadInGroup(g)) {
		return ": superblock, descriptors or room for them"
	}
	first := g - g%layout.Group(max(d.geo.FlexSize, 1))
	for i := first; i < d.geo.Groups && i < first+layout.Group(max(d.geo.FlexSize, 1)); i++ {
		desc, err := d.desc(i)
		if err != nil {
			return ""
		}
		switch t := desc.InodeTable(); {
		case p == desc.BlockBitmap():
			return fmt.Sprintf(": block bitmap of group %d", i)
		case p == desc.InodeBitmap():
			return fmt.Sprintf(": inode bitmap of group %d", i)
		case p >= t && p < t+layout.Pblk(d.geo.InodeTableBlocks()):
			return fmt.Sprintf(": inode table of group %d", i)
		}
	}
	return ""
}
