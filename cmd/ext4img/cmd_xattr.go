package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func xattrCommand() *cli.Command {
	noFollow := func() cli.Flag {
		return &cli.BoolFlag{Name: "no-dereference", Aliases: []string{"h"}, Usage: "of a symbolic link itself"}
	}
	return &cli.Command{
		Name:        "xattr",
		Usage:       "read and change extended attributes",
		ArgsUsage:   "get|set|list|rm IMAGE PATH [NAME [VALUE]]",
		Description: example("NAME has its prefix: user.note. VALUE is text, or 0x… hexadecimal, or 0s… base64.", "ext4img xattr set disk.img /f user.note hello"),
		Subcommands: []*cli.Command{
			{
				Name: "get", Usage: "print one value, as it is", ArgsUsage: "IMAGE PATH NAME",
				Description: example("", "ext4img xattr get disk.img /f user.note"),
				Flags:       []cli.Flag{noFollow(), jsonFlag()}, Action: xattrGet,
			},
			{
				Name: "set", Usage: "set an attribute", ArgsUsage: "IMAGE PATH NAME VALUE",
				Description: example("", "ext4img xattr set disk.img /f user.note hello"),
				Flags: []cli.Flag{noFollow(), &cli.BoolFlag{Name: "create", Usage: "it must not exist"},
					&cli.BoolFlag{Name: "replace", Usage: "it must exist"}},
				Action: xattrSet,
			},
			{
				Name: "list", Usage: "print names and values", ArgsUsage: "IMAGE PATH...",
				Description: example("", "ext4img xattr list disk.img /f"),
				Flags:       []cli.Flag{noFollow(), jsonFlag()}, Action: xattrList,
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove an attribute", ArgsUsage: "IMAGE PATH NAME",
				Description: example("", "ext4img xattr rm disk.img /f user.note"),
				Flags:       []cli.Flag{noFollow()}, Action: xattrRemove,
			},
		},
		Action: noSubcommand,
	}
}

// xattrEntry is one attribute in JSON: text where it is text, else base64.
type xattrEntry struct {
	Path   string  `json:"path"`
	Name   string  `json:"name"`
	Size   int     `json:"size"`
	Text   *string `json:"text,omitempty"`
	Base64 *string `json:"base64,omitempty"`
}

func newXattrEntry(p, attr string, value []byte) xattrEntry {
	e := xattrEntry{Path: p, Name: attr, Size: len(value)}
	s := string(value)
	if utf8.Valid(value) && !strings.ContainsRune(s, 0) {
		e.Text = &s
	} else {
		s = base64.StdEncoding.EncodeToString(value)
		e.Base64 = &s
	}
	return e
}

// withXattr opens the image and runs fn on PATH and NAME.
func withXattr(c *cli.Context, how access, args int, fn func(f *ext4.FS, p, attr string) error) error {
	if err := need(c, args, args); err != nil {
		return err
	}
	p, err := pathArg(c)
	if err != nil {
		return err
	}
	return withImage(c, how, func(img *image) error { return opError(c, p, fn(img.fs, p, c.Args().Get(2))) })
}

func xattrGet(c *cli.Context) error {
	return withXattr(c, reading, 3, func(f *ext4.FS, p, attr string) error {
		value, err := f.Xattr(p, attr, !c.Bool("no-dereference"))
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, newXattrEntry(p, attr, value))
		}
		_, err = rawOutput(c).Write(value)
		if err == nil && isTerminal(rawOutput(c)) {
			say(c, "\n")
		}
		return err
	})
}

func xattrSet(c *cli.Context) error {
	flags := 0
	switch {
	case c.Bool("create") && c.Bool("replace"):
		return usagef(c, "--create and --replace exclude each other")
	case c.Bool("create"):
		flags = ext4.XattrCreate
	case c.Bool("replace"):
		flags = ext4.XattrReplace
	}
	value, err := parseValue(c.Args().Get(3))
	if err != nil {
		return usagef(c, "%v", err)
	}
	return withXattr(c, writing, 4, func(f *ext4.FS, p, attr string) error {
		return f.SetXattr(p, attr, value, flags, !c.Bool("no-dereference"))
	})
}

func xattrRemove(c *cli.Context) error {
	return withXattr(c, writing, 3, func(f *ext4.FS, p, attr string) error {
		return f.RemoveXattr(p, attr, !c.Bool("no-dereference"))
	})
}

func xattrList(c *cli.Context) error {
	if err := need(c, 2, -1); err != nil {
		return err
	}
	paths, err := pathArgs(c)
	if err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		l := xattrLister{fs: img.fs, follow: !c.Bool("no-dereference"), out: rawOutput(c), json: newJSONList(c), fails: newFailures(c)}
		return l.fails.end(l.json.ended(eachOf(paths, l.list)))
	})
}

// xattrLister lists attributes. What cannot be read is named, and the rest is listed.
type xattrLister struct {
	fs     *ext4.FS
	follow bool
	out    io.Writer
	json   *jsonWriter // nil: text
	fails  *failures
}

func (l *xattrLister) list(p string) error {
	in, _, err := find(l.fs, p, l.follow)
	if err != nil {
		return l.fails.add(p, err)
	}
	names, err := in.Xattrs()
	if err != nil {
		return l.fails.add(p, reason(err))
	}
	slices.Sort(names)
	for _, attr := range names {
		value, err := in.Xattr(attr)
		if err == nil {
			err = l.show(newXattrEntry(p, attr, value))
		} else {
			err = l.fails.add(p, fmt.Errorf("attribute %s: %w", attr, reason(err)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *xattrLister) show(e xattrEntry) error {
	if l.json != nil {
		return l.json.value(e)
	}
	attr := ours(strings.ReplaceAll(escape(e.Name), "=", `\x3d`)) // the first = begins the value
	if e.Text != nil {
		return printText(l.out, "%s: %s=%s\n", e.Path, attr, quoted(*e.Text))
	}
	return printText(l.out, "%s: %s=0s%s\n", e.Path, attr, *e.Base64)
}

// parseValue reads a value as setfattr(1) does.
func parseValue(s string) ([]byte, error) {
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0X"):
		b, err := hex.DecodeString(s[2:])
		if err != nil {
			return nil, fmt.Errorf("value %q: want hexadecimal digits after 0x", s)
		}
		return b, nil
	case strings.HasPrefix(s, "0s"), strings.HasPrefix(s, "0S"):
		b, err := base64.StdEncoding.DecodeString(s[2:])
		if err != nil {
			return nil, fmt.Errorf("value %q: want base64 after 0s", s)
		}
		return b, nil
	}
	return []byte(s), nil
}
