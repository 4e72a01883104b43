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
		Action: func(c *cli.Context) error {
			mode, err := parseOctal(c.String("mode"))
			if err != nil {
				return usagef(c, "%v", err)
			}
			parents := c.Bool("parents")
			return eachPath(c, func(f *ext4.FS, p string) error {
				if !parents {
					return f.Mkdir(p, owner(mode))
				}
				if above := strings.LastIndexByte(p, '/'); above > 0 {
					if err := f.MkdirAll(p[:above], owner(0o755)); err != nil {
						return err
					}
				}
				return f.MkdirAll(p, owner(mode))
			})
		},
	}
}
