package main

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// nameCommands are the small ones that change names.
func nameCommands() []*cli.Command {
	return []*cli.Command{mkdirCommand(), rmCommand(), mvCommand(), lnCommand()}
}

func mkdirCommand() *cli.Command {
	return &cli.Command{
		Name: "mkdir", Usage: "make directories", ArgsUsage: "IMAGE PATH...",
		Description: example("", "ext4img mkdir -p disk.img /var/lib/vm"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "parents", Aliases: []string{"p"}, Usage: "those above as well; no error if it exists"},
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "755", Usage: "octal `MODE`"},
		},
		Action: func(c *cli.Context) error {
			mode, err := parseOctal(c.String("mode"))
			if err != nil {
				return usagef(c, "%v", err)
			}
			return eachPath(c, func(f *ext4.FS, p string) error {
				if c.Bool("parents") {
					return f.MkdirAll(p, owner(mode))
				}
				return f.Mkdir(p, owner(mode))
			})
		},
	}
}

func rmCommand() *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "remove files", ArgsUsage: "IMAGE PATH...",
		Description: example("", "ext4img rm -r disk.img /tmp/build"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"r", "R"}, Usage: "directories and all that is in them"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "no error for what does not exist"},
			&cli.BoolFlag{Name: "dir", Aliases: []string{"d"}, Usage: "empty directories as well"},
		},
		Action: func(c *cli.Context) error {
			return eachPath(c, func(f *ext4.FS, p string) error { return remove(c, f, p) })
		},
	}
}

func remove(c *cli.Context, f *ext4.FS, p string) error {
	if path.Clean(p) == "/" {
		return errors.New("the root directory stays")
	}
	_, err := f.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Bool("force"):
		return nil
	case err != nil:
		return err
	case c.Bool("recursive"):
		return f.RemoveAll(p)
	case c.Bool("dir"):
		return f.Remove(p)
	}
	return f.Unlink(p)
}

func mvCommand() *cli.Command {
	return &cli.Command{
		Name: "mv", Usage: "rename or move", ArgsUsage: "IMAGE PATH... NEW",
		Description: example("Into NEW if that is a directory.", "ext4img mv disk.img /a /b"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-clobber", Aliases: []string{"n"}, Usage: "do not replace NEW"},
			&cli.BoolFlag{Name: "no-target-directory", Aliases: []string{"T"}, Usage: "take NEW as a name, even if it is a directory"},
		},
		Action: func(c *cli.Context) error {
			var flags ext4.RenameFlags
			if c.Bool("no-clobber") {
				flags = ext4.RenameNoReplace
			}
			return intoTarget(c, func(f *ext4.FS, from, to string) error { return f.Rename(from, to, flags) })
		},
	}
}

// intoTarget runs fn for all PATHs with the name it shall get: the last argument, or a name in it if it is a directory.
func intoTarget(c *cli.Context, fn func(f *ext4.FS, from, to string) error) error {
	if err := need(c, 3, -1); err != nil {
		return err
	}
	return withImage(c, writing, func(img *image) error {
		args := c.Args().Tail()
		for _, a := range args {
			if _, err := inside(c, a); err != nil {
				return err
			}
		}
		target := args[len(args)-1]
		info, err := stat(img.fs, target)
		dir := err == nil && info.IsDir() && !c.Bool("no-target-directory")
		if len(args) > 2 && !dir {
			return opError(c, target, errors.New("not a directory"))
		}
		for _, from := range args[:len(args)-1] {
			to := target
			if dir {
				to = path.Join(target, path.Base(from))
			}
			if err := fn(img.fs, from, to); err != nil {
				return opError(c, from, err)
			}
		}
		return nil
	})
}

func lnCommand() *cli.Command {
	return &cli.Command{
		Name: "ln", Usage: "make links", ArgsUsage: "IMAGE TARGET PATH",
		Description: example("With -s, TARGET is the text of a symbolic link.", "ext4img ln -s disk.img ../lib/libc.so.6 /lib64/libc.so.6"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "symbolic", Aliases: []string{"s"}, Usage: "a symbolic link"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "replace PATH"},
		},
		Action: ln,
	}
}

func ln(c *cli.Context) error {
	if err := need(c, 3, 3); err != nil {
		return err
	}
	target := c.Args().Get(1)
	p, err := inside(c, c.Args().Get(2))
	if err == nil && !c.Bool("symbolic") {
		_, err = inside(c, target)
	}
	if err != nil {
		return err
	}
	return withImage(c, writing, func(img *image) error {
		name := p
		if info, err := stat(img.fs, p); err == nil && info.IsDir() {
			name = path.Join(p, path.Base(target))
		}
		if c.Bool("force") {
			if err := img.fs.Unlink(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return opError(c, name, err)
			}
		}
		if c.Bool("symbolic") {
			return opError(c, name, img.fs.Symlink(target, name, owner(0o777)))
		}
		return opError(c, name, img.fs.Link(target, name))
	})
}

// eachPath runs fn for each PATH in an image open for writing.
func eachPath(c *cli.Context, fn func(f *ext4.FS, p string) error) error {
	if err := need(c, 2, -1); err != nil {
		return err
	}
	return overPaths(c, c.Args().First(), c.Args().Tail(), fn)
}

func overPaths(c *cli.Context, path string, args []string, fn func(f *ext4.FS, p string) error) error {
	for _, a := range args {
		if _, err := inside(c, a); err != nil {
			return err
		}
	}
	return withImageAt(c, path, writing, func(img *image) error {
		for _, p := range args {
			if err := c.Context.Err(); err != nil {
				return err
			}
			if err := fn(img.fs, strings.TrimRight(p, "/")+slashOf(p)); err != nil {
				return opError(c, p, err)
			}
		}
		return nil
	})
}

// slashOf keeps the root's name.
func slashOf(p string) string {
	if strings.Trim(p, "/") == "" {
		return "/"
	}
	return ""
}
