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
		Action: action(parseFallocate, fallocate),
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

// fallocateOptions are the flags and arguments of fallocate.
type fallocateOptions struct {
	image, path string
	mode        ext4.FallocMode
	dig         bool // instead of all else
	create      bool // the file if it is missing
	off, length int64
	room        int64 // bytes that must be free
}

func parseFallocate(c *cli.Context) (o fallocateOptions, err error) {
	if o.image, o.path, err = parsePath(c, 2); err != nil {
		return o, err
	}
	given := ""
	o.create = true
	for _, m := range fallocateModes {
		if c.Bool(m.flag) {
			if given != "" {
				return o, usagef(c, "--%s and --%s exclude each other", given, m.flag)
			}
			o.mode, given = m.mode, m.flag
			o.create = m.flag == "zero-range"
		}
	}
	if c.Bool("keep-size") {
		if given != "" && given != "punch-hole" && given != "zero-range" {
			return o, usagef(c, "--keep-size and --%s exclude each other", given)
		}
		o.mode |= ext4.FallocKeepSize
	}
	o.dig = given == "dig-holes"
	o.off, _ = sizeOf(c, "offset")
	length, set := sizeOf(c, "length")
	if !o.dig && (!set || length <= 0) {
		return o, usagef(c, "--length must be given, and more than 0")
	}
	o.length = length
	if given == "" || given == "zero-range" {
		o.room = length
	}
	return o, nil
}

func fallocate(e *env, o fallocateOptions) error {
	ch := change{image: o.image, path: o.path, create: o.create, off: o.off, room: o.room}
	return ch.run(e, func(f *ext4.File) error {
		if o.dig {
			return f.DigHoles(o.off, o.length)
		}
		return f.Fallocate(o.mode, o.off, o.length)
	})
}
