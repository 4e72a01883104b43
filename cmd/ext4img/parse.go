package main

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/urfave/cli/v2"
)

// This file has what the parse functions of the commands share.

// usagef is the usageError of a command.
func usagef(c *cli.Context, format string, args ...any) error {
	return &usageError{c.Command.HelpName, usageStatus(c.Command.Name), fmt.Sprintf(format, args...)}
}

// need checks the number of positional arguments; max < 0: any.
func need(c *cli.Context, min, max int) error {
	switch n := c.NArg(); {
	case n < min:
		return usagef(c, "too few arguments: want %s", c.Command.ArgsUsage)
	case max >= 0 && n > max:
		return usagef(c, "too many arguments: want %s", c.Command.ArgsUsage)
	}
	return nil
}

// noSubcommand is the action of a command that has subcommands and got none.
func noSubcommand(c *cli.Context) error {
	var names []string
	for _, s := range c.Command.Subcommands {
		if s.Name != "help" {
			names = append(names, s.Name)
		}
	}
	return usagef(c, "%s: want one of %s", c.Command.Name, strings.Join(names, ", "))
}

// pathsOptions are IMAGE PATH...
type pathsOptions struct {
	image string
	paths []string
}

// parsePaths reads IMAGE PATH..., with at least so many arguments.
func parsePaths(c *cli.Context, min int) (o pathsOptions, err error) {
	if err := need(c, min, -1); err != nil {
		return o, err
	}
	o.image = c.Args().First()
	o.paths, err = insides(c, c.Args().Tail())
	return o, err
}

// parsePath reads IMAGE PATH and what follows: n arguments in all.
func parsePath(c *cli.Context, n int) (image, p string, err error) {
	if err := need(c, n, n); err != nil {
		return "", "", err
	}
	p, err = inside(c, c.Args().Get(1))
	return c.Args().First(), p, err
}

// imageOptions are IMAGE, for a command that prints text or JSON.
type imageOptions struct {
	image string
	json  bool
}

// parseImage reads IMAGE as the only argument.
func parseImage(c *cli.Context) (imageOptions, error) {
	return imageOptions{c.Args().First(), c.Bool("json")}, need(c, 1, 1)
}

// operandFirst splits IMAGE OPERAND PATH... Users of coreutils may also write OPERAND IMAGE PATH... if only
// one of the two can be meant, because OPERAND names no file here.
func operandFirst(c *cli.Context) (image, operand string, paths []string) {
	args := c.Args().Slice()
	image, operand = args[0], args[1]
	if _, err := os.Stat(image); err != nil {
		if _, err := os.Stat(operand); err == nil {
			image, operand = operand, image
		}
	}
	return image, operand, args[2:]
}

// inside is a PATH argument: absolute, inside the file system. The trailing slash stays, it means a directory.
func inside(c *cli.Context, arg string) (string, error) {
	if !path.IsAbs(arg) {
		return "", usagef(c, "path %q: must be absolute, inside the file system", arg)
	}
	return arg, nil
}

// insides are PATH arguments.
func insides(c *cli.Context, args []string) ([]string, error) {
	for _, p := range args {
		if _, err := inside(c, p); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// sizeOf is the value of a size flag, and whether it was given.
func sizeOf(c *cli.Context, name string) (n int64, set bool) {
	s := c.Generic(name).(*size)
	return s.n, s.set
}
