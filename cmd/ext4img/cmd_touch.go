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
		Action: action(parseTouch, touch),
	}
}

// touchOptions are the flags and arguments of touch.
type touchOptions struct {
	pathsOptions
	atime, mtime time.Time // zero: stays
	noCreate     bool
}

func parseTouch(c *cli.Context) (o touchOptions, err error) {
	now, err := clock()
	if err != nil {
		return o, err
	}
	t := time.Now()
	if now != nil {
		t = now()
	}
	if d := c.String("date"); d != "" {
		if t, err = parseTime(d); err != nil {
			return o, usagef(c, "%v", err)
		}
	}
	o.atime, o.mtime, o.noCreate = t, t, c.Bool("no-create")
	if c.Bool("access") && !c.Bool("modify") {
		o.mtime = time.Time{}
	}
	if c.Bool("modify") && !c.Bool("access") {
		o.atime = time.Time{}
	}
	o.pathsOptions, err = parsePaths(c, 2)
	return o, err
}

func touch(e *env, o touchOptions) error {
	return eachPath(e, o.pathsOptions, func(f *ext4.FS, p string) error {
		if _, err := f.Stat(p); errors.Is(err, fs.ErrNotExist) {
			if o.noCreate {
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
		return f.Chtimes(p, o.atime, o.mtime)
	})
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
