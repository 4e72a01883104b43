package main

import (
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func lnCommand() *cli.Command {
	return &cli.Command{
		Name: "ln", Usage: "make links", ArgsUsage: "IMAGE TARGET... PATH",
		Description: example("Into PATH if that is a directory. With -s, TARGET is the text of a symbolic link.",
			"ext4img ln -s disk.img ../lib/libc.so.6 /lib64/libc.so.6"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "symbolic", Aliases: []string{"s"}, Usage: "a symbolic link"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "replace PATH, in one step"},
			&cli.BoolFlag{Name: "no-dereference", Aliases: []string{"n"}, Usage: "take a PATH that is a symbolic link to a directory as a name"},
			noTargetFlag(),
		},
		Action: action(parseLn, ln),
	}
}

// lnOptions are the flags and arguments of ln.
type lnOptions struct {
	targetOptions
	force bool
}

func parseLn(c *cli.Context) (o lnOptions, err error) {
	o.name, o.link, o.text = c.Bool("no-target-directory"), c.Bool("no-dereference"), c.Bool("symbolic")
	o.force = c.Bool("force")
	err = o.parse(c)
	return o, err
}

func ln(e *env, o lnOptions) error { return intoTarget(e, o.targetOptions, linker(o.text, o.force)) }

// linker is how ln makes a link.
func linker(symbolic, force bool) func(f *ext4.FS, from, to string) error {
	switch {
	case symbolic && force:
		return func(f *ext4.FS, from, to string) error { return f.SymlinkOver(from, to, owner(0o777)) }
	case symbolic:
		return func(f *ext4.FS, from, to string) error { return f.Symlink(from, to, owner(0o777)) }
	case force:
		return (*ext4.FS).LinkOver
	}
	return (*ext4.FS).Link
}
