package main

import (
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func fallocateCommand() *cli.Command {
	return &cli.Command{
		Name:      "fallocate",
		Usage:     "preallocate, punch, zero, collapse or insert a range of a file",
		ArgsUsage: "IMAGE PATH",
		Description: example("As fallocate(1). The file is created if it is missing.",
			"ext4img fallocate -l 256M disk.img /data", "ext4img fallocate -p -o 1M -l 64K disk.img /data"),
		Flags: []cli.Flag{
			sizeFlag(0, "begin at byte `OFF`", "offset", "o"),
			sizeFlag(0, "`LEN` bytes", "length", "l"),
			&cli.BoolFlag{Name: "keep-size", Aliases: []string{"n"}, Usage: "leave the file's size"},
			&cli.BoolFlag{Name: "punch-hole", Aliases: []string{"p"}, Usage: "free the range (implies -n)"},
			&cli.BoolFlag{Name: "zero-range", Aliases: []string{"z"}, Usage: "make the range read as zeros, with blocks"},
			&cli.BoolFlag{Name: "collapse-range", Aliases: []string{"c"}, Usage: "remove the range from the file"},
			&cli.BoolFlag{Name: "insert-range", Aliases: []string{"i"}, Usage: "insert a hole"},
			&cli.BoolFlag{Name: "dig-holes", Aliases: []string{"d"}, Usage: "free blocks that hold only zeros"},
		},
		Action: fallocate,
	}
}

// fallocateModes are the flags that exclude each other.
var fallocateModes = []struct {
	flag string
	mode ext4.FallocMode
}{
	{"punch-hole", ext4.FallocPunchHole | ext4.FallocKeepSize},
	{"zero-range", ext4.FallocZeroRange},
	{"collapse-range", ext4.FallocCollapseRange},
	{"insert-range", ext4.FallocInsertRange},
	{"dig-holes", 0},
}

func fallocate(c *cli.Context) error {
	if err := need(c, 2, 2); err != nil {
		return err
	}
	name, err := pathArg(c)
	if err != nil {
		return err
	}
	mode, given, create := ext4.FallocMode(0), "", true
	for _, m := range fallocateModes {
		if c.Bool(m.flag) {
			if given != "" {
				return usagef(c, "--%s and --%s exclude each other", given, m.flag)
			}
			mode, given = m.mode, m.flag
			create = m.flag == "zero-range"
		}
	}
	if c.Bool("keep-size") {
		if given != "" && given != "punch-hole" && given != "zero-range" {
			return usagef(c, "--keep-size and --%s exclude each other", given)
		}
		mode |= ext4.FallocKeepSize
	}
	off, _ := sizeOf(c, "offset")
	length, set := sizeOf(c, "length")
	if given != "dig-holes" && (!set || length <= 0) {
		return usagef(c, "--length must be given, and more than 0")
	}
	room := int64(0)
	if given == "" || given == "zero-range" {
		room = length
	}
	return withFile(c, name, create, off, room, func(f *ext4.File) error {
		if given == "dig-holes" {
			return f.DigHoles(off, length)
		}
		return f.Fallocate(mode, off, length)
	})
}
