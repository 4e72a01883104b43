package main

import (
	"strings"

	"ext4img/cmd/ext4img/internal/sizes"
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func truncateCommand() *cli.Command {
	return &cli.Command{
		Name:      "truncate",
		Usage:     "set the size of a file",
		ArgsUsage: "IMAGE PATH",
		Description: example("As truncate(1). SIZE may begin with + or - (by that much), < or > (at most, at least), / or %\n"+
			"(down, up to a multiple).",
			"ext4img truncate -s 0 disk.img /data", "ext4img truncate -s +4K disk.img /data"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "size", Aliases: []string{"s"}, Usage: "the new `SIZE`"},
			&cli.BoolFlag{Name: "no-create", Aliases: []string{"c"}, Usage: "do nothing if the file does not exist"},
		},
		Action: action(parseTruncate, truncate),
	}
}

// truncateOptions are the flags and arguments of truncate.
type truncateOptions struct {
	image, path string
	size        sizeChange
	create      bool
}

func parseTruncate(c *cli.Context) (o truncateOptions, err error) {
	if o.image, o.path, err = parsePath(c, 2); err != nil {
		return o, err
	}
	if !c.IsSet("size") {
		return o, usagef(c, "--size must be given")
	}
	if o.size, err = parseChange(c.String("size")); err != nil {
		return o, usagef(c, "%v", err)
	}
	o.create = !c.Bool("no-create")
	return o, nil
}

func truncate(e *env, o truncateOptions) error {
	ch := change{image: o.image, path: o.path, create: o.create}
	return ch.run(e, func(f *ext4.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return f.Truncate(o.size.apply(info.Size()))
	})
}

// sizeChange is a size as truncate(1) takes it.
type sizeChange struct {
	how byte // 0, or one of + - < > / %
	n   int64
}

func parseChange(s string) (ch sizeChange, err error) {
	s = strings.TrimSpace(s)
	if s != "" && strings.IndexByte("+-<>/%", s[0]) >= 0 {
		ch.how, s = s[0], s[1:]
	}
	if ch.n, err = sizes.Parse(s); err != nil {
		return ch, err
	}
	if (ch.how == '/' || ch.how == '%') && ch.n == 0 {
		return ch, &usageError{msg: "size: division by zero"}
	}
	return ch, nil
}

// apply is the new size of a file of size old.
func (ch sizeChange) apply(old int64) int64 {
	switch ch.how {
	case '+':
		return old + ch.n
	case '-':
		return max(old-ch.n, 0)
	case '<':
		return min(old, ch.n)
	case '>':
		return max(old, ch.n)
	case '/':
		return old / ch.n * ch.n
	case '%':
		return (old + ch.n - 1) / ch.n * ch.n
	}
	return ch.n
}
