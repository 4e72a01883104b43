package main

import (
	"context"
	"errors"
	"fmt"
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
			if err := need(c, 2, -1); err != nil {
				return err
			}
			o := rmOptions{recursive: c.Bool("recursive"), force: c.Bool("force"), dir: c.Bool("dir")}
			return overPaths(c, c.Args().First(), c.Args().Tail(), func(f *ext4.FS, p string, fails *failures) error {
				return o.remove(c.Context, f, p, fails)
			})
		},
	}
}

// rmOptions are the flags of rm.
type rmOptions struct{ recursive, force, dir bool }

func (o rmOptions) remove(ctx context.Context, f *ext4.FS, p string, fails *failures) error {
	if path.Clean(p) == "/" {
		return errors.New("the root directory stays")
	}
	_, err := f.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.force:
		return nil
	case err != nil:
		return err
	case o.recursive:
		return f.RemoveTree(ctx, p, fails.add)
	case o.dir:
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

func noTargetFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-target-directory", Aliases: []string{"T"}, Usage: "take the last PATH as a name, even if it is a directory"}
}

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
		Action: func(c *cli.Context) error {
			o := targetOptions{name: c.Bool("no-target-directory"), link: c.Bool("no-dereference"), text: c.Bool("symbolic")}
			return intoTarget(c, o, linker(c.Bool("symbolic"), c.Bool("force")))
		},
	}
}

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

// targetOptions say how the last argument of mv and ln is taken.
type targetOptions struct {
	name bool // it is a name, even if there is a directory
	link bool // it is a name if there is a symbolic link to a directory
	text bool // the others are texts of symbolic links, and no paths
}

// dir tells whether the last argument is a directory to put names into.
func (o targetOptions) dir(f *ext4.FS, target string) bool {
	if o.name {
		return false
	}
	info, err := stat(f, target)
	if o.link {
		info, err = lstat(f, target)
	}
	return err == nil && info.IsDir()
}

// intoTarget runs fn for all arguments but the last with the name it shall get: the last argument, or a name in it if it
// is a directory. What fails is named, and the rest goes on. A name that was made is not replaced by the next.
func intoTarget(c *cli.Context, o targetOptions, fn func(f *ext4.FS, from, to string) error) error {
	if err := need(c, 3, -1); err != nil {
		return err
	}
	args := c.Args().Tail()
	sources, target := args[:len(args)-1], args[len(args)-1]
	for i, a := range args {
		if _, err := inside(c, a); err != nil && (i == len(sources) || !o.text) {
			return err
		}
	}
	return withImage(c, writing, func(img *image) error {
		dir := o.dir(img.fs, target)
		if len(sources) > 1 && !dir {
			return opError(c, target, errors.New("not a directory"))
		}
		made, fails := map[string]bool{}, newFailures(c)
		for _, from := range sources {
			if c.Context.Err() != nil {
				return context.Cause(c.Context)
			}
			to := target
			if dir {
				to = path.Join(target, path.Base(from))
			}
			err := errors.New("not over " + to + ", which was just made")
			if !made[to] {
				err = fn(img.fs, from, to)
			}
			made[to] = made[to] || err == nil
			if err := fails.add(from, renamed(err, to)); err != nil {
				return err
			}
		}
		return fails.end(nil)
	})
}

// renamed is an error of an operation on two names: where the first is meant, the second stands with the reason.
func renamed(err error, to string) error {
	if errors.Is(err, ext4.ErrSameFile) {
		return fmt.Errorf("%s is %w", to, ext4.ErrSameFile)
	}
	return err
}

// eachPath runs fn for each PATH in an image open for writing.
func eachPath(c *cli.Context, fn func(f *ext4.FS, p string) error) error {
	if err := need(c, 2, -1); err != nil {
		return err
	}
	return overPaths(c, c.Args().First(), c.Args().Tail(), func(f *ext4.FS, p string, _ *failures) error { return fn(f, p) })
}

// overPaths runs fn for each path in an image open for writing. What fails is named, and the rest goes on.
func overPaths(c *cli.Context, imagePath string, args []string, fn func(f *ext4.FS, p string, fails *failures) error) error {
	for _, a := range args {
		if _, err := inside(c, a); err != nil {
			return err
		}
	}
	return withImageAt(c, imagePath, writing, func(img *image) error {
		fails := newFailures(c)
		for _, p := range args {
			if c.Context.Err() != nil {
				return context.Cause(c.Context)
			}
			err := fn(img.fs, strings.TrimRight(p, "/")+slashOf(p), fails)
			if err := fails.add(p, err); err != nil {
				return err
			}
		}
		return fails.end(nil)
	})
}

// slashOf keeps the root's name.
func slashOf(p string) string {
	if strings.Trim(p, "/") == "" {
		return "/"
	}
	return ""
}
