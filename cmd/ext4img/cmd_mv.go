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
		Action: action(parseMv, mv),
	}
}

// mvOptions are the flags and arguments of mv.
type mvOptions struct {
	targetOptions
	flags ext4.RenameFlags
}

func parseMv(c *cli.Context) (o mvOptions, err error) {
	if c.Bool("no-clobber") {
		o.flags = ext4.RenameNoReplace
	}
	o.name = c.Bool("no-target-directory")
	err = o.parse(c)
	return o, err
}

func mv(e *env, o mvOptions) error {
	return intoTarget(e, o.targetOptions, func(f *ext4.FS, from, to string) error { return f.Move(from, to, o.flags) })
}
