package main

import (
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func mvCommand() *cli.Command {
	return &cli.Command{
		Name: "mv", Usage: "rename or move", ArgsUsage: "IMAGE PATH... NEW",
		Description: example("Into NEW if that is a directory.", "ext4img mv disk.img /a /b"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-clobber", Aliases: []string{"n"}, Usage: "do not replace NEW"},
			noTargetFlag(),
		},
		Action: func(c *cli.Context) error {
			var flags ext4.RenameFlags
			if c.Bool("no-clobber") {
				flags = ext4.RenameNoReplace
			}
			o := targetOptions{name: c.Bool("no-target-directory")}
			return intoTarget(c, o, func(f *ext4.FS, from, to string) error { return f.Move(from, to, flags) })
		},
	}
}
