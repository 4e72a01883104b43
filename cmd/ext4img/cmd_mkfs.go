package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"ext4img/cmd/ext4img/internal/sizes"
	"ext4img/ext4/mkfs"

	"github.com/urfave/cli/v2"
)

func mkfsCommand() *cli.Command {
	return &cli.Command{
		Name:      "mkfs",
		Usage:     "make an ext4 file system",
		ArgsUsage: "IMAGE [SIZE]",
		Description: example("As mke2fs -t ext4. A file is created, or emptied, and stays sparse; SIZE may be left out for one that exists,\n"+
			"and for a device. What holds anything is overwritten only with --force, or after a question on a terminal. The same flags, -U and SOURCE_DATE_EPOCH give the same bytes.",
			"ext4img mkfs disk.img 1G", "ext4img mkfs -b 4096 -O bigalloc,^resize_inode -L data disk.img 20G"),
		Flags: []cli.Flag{
			sizeFlag(0, "block `SIZE`", "block-size", "b"),
			sizeFlag(0, "cluster `SIZE`, with bigalloc", "cluster-size", "C"),
			&cli.StringFlag{Name: "label", Aliases: []string{"L"}, Usage: "volume `NAME`"},
			&cli.StringFlag{Name: "uuid", Aliases: []string{"U"}, Usage: "`UUID` (default: random)"},
			&cli.StringSliceFlag{Name: "features", Aliases: []string{"O"}, Usage: "comma-separated `LIST`, ^ takes one away"},
			&cli.StringSliceFlag{Name: "journal", Aliases: []string{"J"}, Usage: "`size=MiB` of the journal"},
			&cli.Uint64Flag{Name: "inodes", Aliases: []string{"N"}, Usage: "`NUMBER` of inodes"},
			sizeFlag(0, "`BYTES` for each inode", "bytes-per-inode", "i"),
			&cli.IntFlag{Name: "inode-size", Aliases: []string{"I"}, Usage: "`BYTES` of an inode"},
			&cli.Float64Flag{Name: "reserved", Aliases: []string{"m"}, Value: 5, Usage: "`PERCENT` of the blocks for root"},
			&cli.StringFlag{Name: "type", Aliases: []string{"t"}, Value: "ext4", Usage: "ext2, ext3 or ext4"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"F"}, Usage: "overwrite what is there"},
			jsonFlag(),
		},
		Action: action(parseMkfs, makeFS),
	}
}

// mkfsOptions are the flags and arguments of mkfs.
type mkfsOptions struct {
	mkfs.Options
	image       string
	force, json bool
}

func parseMkfs(c *cli.Context) (o mkfsOptions, err error) {
	if err := need(c, 1, 2); err != nil {
		return o, err
	}
	o.image, o.force, o.json = c.Args().First(), c.Bool("force"), c.Bool("json")
	if o.Options, err = parseFormat(c); err != nil {
		return o, err
	}
	if c.NArg() == 2 {
		bytes, err := sizes.Parse(c.Args().Get(1))
		if err != nil || bytes <= 0 {
			return o, usagef(c, "size %q: want a number with K, M, G, T, P or E, more than 0", c.Args().Get(1))
		}
		o.Bytes = uint64(bytes)
	}
	return o, nil
}

func makeFS(e *env, o mkfsOptions) error {
	dev, err := prepareTarget(e, &o)
	if err != nil {
		return opError(e, o.image, err)
	}
	err = mkfs.Make(dev, o.Options)
	if e := dev.Close(); err == nil {
		err = e
	}
	if err != nil {
		return opError(e, o.image, err)
	}
	return reportMade(e, o)
}

// parseFormat reads the flags that say what to make.
func parseFormat(c *cli.Context) (o mkfs.Options, err error) {
	number := func(name string) int64 { n, _ := sizeOf(c, name); return n }
	small := func(name string) int { return int(min(number(name), math.MaxInt32)) }
	o = mkfs.Options{
		Type: c.String("type"), BlockSize: small("block-size"), ClusterSize: small("cluster-size"),
		Label: c.String("label"), Inodes: c.Uint64("inodes"), InodeSize: c.Int("inode-size"), BytesPerInode: uint64(number("bytes-per-inode")),
		Features: strings.Join(c.StringSlice("features"), ","),
	}
	if c.IsSet("reserved") {
		r := c.Float64("reserved")
		o.ReservedPercent = &r
	}
	if now, err := clock(); err != nil {
		return o, err
	} else if now != nil {
		o.Time = now()
	}
	if o.UUID, err = parseUUID(c.String("uuid")); err != nil {
		return o, usagef(c, "%v", err)
	}
	for _, j := range c.StringSlice("journal") {
		for _, part := range strings.Split(j, ",") {
			n, err := journalSize(part)
			if err != nil {
				return o, usagef(c, "%v", err)
			}
			o.JournalSize = n
		}
	}
	return o, nil
}

// journalSize reads size=N: mebibytes, or bytes with a unit.
func journalSize(s string) (uint64, error) {
	value, ok := strings.CutPrefix(s, "size=")
	if !ok {
		return 0, fmt.Errorf("journal option %q: want size=MiB", s)
	}
	if n, err := strconv.ParseUint(value, 10, 32); err == nil && n > 0 {
		return n << 20, nil
	}
	n, err := sizes.Parse(value)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("journal option %q: want size=MiB", s)
	}
	return uint64(n), nil
}

// parseUUID reads a UUID; "" and "random" make one, "clear" is all zeros, "time" too is random.
func parseUUID(s string) (u [16]byte, err error) {
	switch s {
	case "", "random", "time":
		if _, err := rand.Read(u[:]); err != nil {
			return u, err
		}
		u[6], u[8] = u[6]&0x0F|0x40, u[8]&0x3F|0x80
		return u, nil
	case "clear":
		return u, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return u, fmt.Errorf("UUID %q: want 32 hexadecimal digits", s)
	}
	return [16]byte(b), nil
}

// reportMade says what was made.
func reportMade(e *env, o mkfsOptions) error {
	i, err := superInfo(e, o.image)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(e, i)
	}
	say(e, "%s: %d blocks of %d bytes, %d inodes, UUID %s\n", o.image, i.Blocks, i.BlockSize, i.Inodes, i.UUID)
	return nil
}
