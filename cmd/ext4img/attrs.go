package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// attrCommands change what inodes say.
func attrCommands() []*cli.Command {
	return []*cli.Command{chmodCommand(), chownCommand(), touchCommand()}
}

func recursiveFlag() cli.Flag {
	return &cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "everything below as well"}
}

func chmodCommand() *cli.Command {
	return &cli.Command{
		Name: "chmod", Usage: "change permissions", ArgsUsage: "IMAGE MODE PATH...",
		Description: example("MODE is octal, or symbolic as in chmod(1).", "ext4img chmod disk.img 640 /etc/shadow", "ext4img chmod disk.img u+x,go-w /bin/tool"),
		Flags:       []cli.Flag{recursiveFlag()},
		Action: func(c *cli.Context) error {
			if err := need(c, 3, -1); err != nil {
				return err
			}
			image, mode, paths := operandFirst(c)
			change, err := parseMode(mode)
			if err != nil {
				return usagef(c, "%v", err)
			}
			if c.Bool("recursive") {
				return overTrees(c, image, paths, true, func(v *ext4.Visit) error {
					if v.Info.Mode()&fs.ModeSymlink != 0 {
						return nil
					}
					return v.Inode.Chmod(change(v.Info.Stat().Mode&0o7777, v.Info.IsDir()))
				})
			}
			return overPaths(c, image, paths, func(f *ext4.FS, p string, _ *failures) error {
				info, err := stat(f, p)
				if err != nil {
					return err
				}
				return f.Chmod(p, change(info.Stat().Mode&0o7777, info.IsDir()))
			})
		},
	}
}

func chownCommand() *cli.Command {
	return &cli.Command{
		Name: "chown", Usage: "change owner and group", ArgsUsage: "IMAGE UID[:GID] PATH...",
		Description: example("Numbers, and root: other names belong to the system inside the image.", "ext4img chown disk.img 1000:1000 /home/me"),
		Flags: []cli.Flag{recursiveFlag(),
			&cli.BoolFlag{Name: "no-dereference", Aliases: []string{"h"}, Usage: "a symbolic link itself"}},
		Action: func(c *cli.Context) error {
			if err := need(c, 3, -1); err != nil {
				return err
			}
			image, who, paths := operandFirst(c)
			uid, gid, err := parseOwner(who)
			if err != nil {
				return usagef(c, "%v", err)
			}
			if c.Bool("recursive") {
				return overTrees(c, image, paths, false, func(v *ext4.Visit) error { return v.Inode.Chown(uid, gid) })
			}
			chown := (*ext4.FS).Chown
			if c.Bool("no-dereference") {
				chown = (*ext4.FS).Lchown
			}
			return overPaths(c, image, paths, func(f *ext4.FS, p string, _ *failures) error { return chown(f, p, uid, gid) })
		},
	}
}

func touchCommand() *cli.Command {
	return &cli.Command{
		Name: "touch", Usage: "set times, create empty files", ArgsUsage: "IMAGE PATH...",
		Description: example("", "ext4img touch disk.img /etc/stamp", "ext4img touch -d 2026-01-31T12:00:00Z disk.img /etc/stamp"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "date", Aliases: []string{"d"}, Usage: "`TIME` as 2006-01-02T15:04:05Z, 2006-01-02, or @seconds"},
			&cli.BoolFlag{Name: "access", Aliases: []string{"a"}, Usage: "the time of access only"},
			&cli.BoolFlag{Name: "modify", Aliases: []string{"m"}, Usage: "the time of modification only"},
			&cli.BoolFlag{Name: "no-create", Aliases: []string{"c"}, Usage: "do not create"},
		},
		Action: touch,
	}
}

func touch(c *cli.Context) error {
	now, err := clock()
	if err != nil {
		return err
	}
	t := time.Now()
	if now != nil {
		t = now()
	}
	if d := c.String("date"); d != "" {
		if t, err = parseTime(d); err != nil {
			return usagef(c, "%v", err)
		}
	}
	atime, mtime := t, t
	if c.Bool("access") && !c.Bool("modify") {
		mtime = time.Time{}
	}
	if c.Bool("modify") && !c.Bool("access") {
		atime = time.Time{}
	}
	return eachPath(c, func(f *ext4.FS, p string) error {
		if _, err := f.Stat(p); errors.Is(err, fs.ErrNotExist) {
			if c.Bool("no-create") {
				return nil
			}
			file, err := f.OpenFile(p, os.O_RDWR|os.O_CREATE, 0o644)
			if err != nil {
				return err
			}
			if err := file.Close(); err != nil {
				return err
			}
		}
		return f.Chtimes(p, atime, mtime)
	})
}

// overTrees runs fn for each path and everything below it; follow: a path that is a symbolic link is followed. What fails
// is named, and the rest goes on.
func overTrees(c *cli.Context, imagePath string, args []string, follow bool, fn func(v *ext4.Visit) error) error {
	return overPaths(c, imagePath, args, func(f *ext4.FS, p string, fails *failures) error {
		top, err := f.Find(p, follow)
		if err != nil {
			return err
		}
		w := ext4.Walk{
			Visit: func(v *ext4.Visit) error {
				if err := fn(v); err != nil {
					return fails.add(v.Path(), reason(err))
				}
				return nil
			},
			Bad: func(v *ext4.Visit, err error) error { return fails.add(v.Path(), err) },
		}
		return w.Run(c.Context, top, p)
	})
}

func parseOctal(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf("mode %q: want octal, at most 7777", s)
	}
	return uint16(n), nil
}

// parseMode reads a mode as chmod(1) does, without its rarer letters.
func parseMode(s string) (func(old uint16, dir bool) uint16, error) {
	if n, err := parseOctal(s); err == nil {
		return func(uint16, bool) uint16 { return n }, nil
	}
	var steps []modeStep
	for _, part := range strings.Split(s, ",") {
		step, err := parseModeStep(part)
		if err != nil {
			return nil, fmt.Errorf("mode %q: %w", s, err)
		}
		steps = append(steps, step)
	}
	return func(old uint16, dir bool) uint16 {
		for _, st := range steps {
			old = st.apply(old, dir)
		}
		return old
	}, nil
}

// modeStep is one part of a symbolic mode.
type modeStep struct {
	who   uint16 // bits it may change
	op    byte
	perm  uint16 // rwx, in all three places, and set-id, sticky
	condX bool   // X: execution only for directories and what is executable
}

func parseModeStep(s string) (st modeStep, err error) {
	at := strings.IndexAny(s, "+-=")
	if at < 0 {
		return st, errors.New("want octal, or like u+x,go-w")
	}
	for _, r := range s[:at] {
		switch r {
		case 'u':
			st.who |= 0o4700
		case 'g':
			st.who |= 0o2070
		case 'o':
			st.who |= 0o1007
		case 'a':
			st.who |= 0o7777
		default:
			return st, fmt.Errorf("%q: want u, g, o or a", r)
		}
	}
	if at == 0 {
		st.who = 0o7777
	}
	st.op = s[at]
	for _, r := range s[at+1:] {
		switch r {
		case 'r':
			st.perm |= 0o444
		case 'w':
			st.perm |= 0o222
		case 'x':
			st.perm |= 0o111
		case 'X':
			st.condX = true
		case 's':
			st.perm |= 0o6000
		case 't':
			st.perm |= 0o1000
		default:
			return st, fmt.Errorf("%q: want r, w, x, X, s or t", r)
		}
	}
	if st.perm&0o1000 != 0 {
		st.who |= 0o1000
	}
	return st, nil
}

func (st modeStep) apply(old uint16, dir bool) uint16 {
	perm := st.perm
	if st.condX && (dir || old&0o111 != 0) {
		perm |= 0o111
	}
	perm &= st.who
	switch st.op {
	case '+':
		return old | perm
	case '-':
		return old &^ perm
	}
	return old&^(st.who&0o777) | perm
}

func parseOwner(s string) (uid, gid int, err error) {
	u, g, has := strings.Cut(s, ":")
	uid, gid = -1, -1
	id := func(s string) (int, error) {
		if s == "root" {
			return 0, nil
		}
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == 1<<32-1 {
			return 0, fmt.Errorf("owner %q: want a number, or root", s)
		}
		return int(n), nil
	}
	if u != "" {
		if uid, err = id(u); err != nil {
			return 0, 0, err
		}
	}
	if has && g != "" {
		if gid, err = id(g); err != nil {
			return 0, 0, err
		}
	}
	if uid < 0 && gid < 0 {
		return 0, 0, fmt.Errorf("owner %q: want UID, UID:GID or :GID", s)
	}
	return uid, gid, nil
}

func parseTime(s string) (time.Time, error) {
	if rest, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(rest, 10, 64)
		if err == nil {
			return time.Unix(n, 0), nil
		}
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: want 2006-01-02T15:04:05Z, 2006-01-02, or @seconds", s)
}
