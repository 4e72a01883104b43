package main

import (
	"strings"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func mkdirCommand() *cli.Command {
	return &cli.Command{
		Name: "mkdir", Usage: "make directories", ArgsUsage: "IMAGE PATH...",
		Description: example("", "ext4img mkdir -p disk.img /var/lib/vm"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "parents", Aliases: []string{"p"}, Usage: "those above as well, with mode 755; no error if it exists"},
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "755", Usage: "octal `MODE`"},
		},
		Action: action(parseMkdir, mkdir),
	}
}

// mkdirOptions are the flags and arguments of mkdir.
type mkdirOptions struct {
	pathsOptions
	mode    uint16
	parents bool
}

func parseMkdir(c *cli.Context) (o mkdirOptions, err error) {
	if o.mode, err = parseOctal(c.String("mode")); err != nil {
		return o, usagef(c, "%v", err)
	}
	o.parents = c.Bool("parents")
	o.pathsOptions, err = parsePaths(c, 2)
	return o, err
}

func mkdir(e *env, o mkdirOptions) error {
	return eachPath(e, o.pathsOptions, func(f *ext4.FS, p string) error {
		if !o.parents {
			return f.Mkdir(p, owner(o.mode))
		}
		if above := strings.LastIndexByte(p, '/'); above > 0 {
			if err := f.MkdirAll(p[:above], owner(0o755)); err != nil {
				return err
			}
		}
		return f.MkdirAll(p, owner(o.mode))
	})
}
