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
				Flags:       []cli.Flag{noFollow(), jsonFlag()}, Action: action(parseXattrGet, xattrGet),
			},
			{
				Name: "set", Usage: "set an attribute", ArgsUsage: "IMAGE PATH NAME VALUE",
				Description: example("", "ext4img xattr set disk.img /f user.note hello"),
				Flags: []cli.Flag{noFollow(), &cli.BoolFlag{Name: "create", Usage: "it must not exist"},
					&cli.BoolFlag{Name: "replace", Usage: "it must exist"}},
				Action: action(parseXattrSet, xattrSet),
			},
			{
				Name: "list", Usage: "print names and values", ArgsUsage: "IMAGE PATH...",
				Description: example("", "ext4img xattr list disk.img /f"),
				Flags:       []cli.Flag{noFollow(), jsonFlag()}, Action: action(parseXattrList, xattrList),
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove an attribute", ArgsUsage: "IMAGE PATH NAME",
				Description: example("", "ext4img xattr rm disk.img /f user.note"),
				Flags:       []cli.Flag{noFollow()}, Action: action(parseXattrRemove, xattrRemove),
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

// xattrOptions are the flags and arguments of the subcommands that name one attribute.
type xattrOptions struct {
	image, path, attr string
	follow, json      bool
	value             []byte // set
	flags             int    // set: ext4.XattrCreate, ext4.XattrReplace
}

// parseXattr reads what they have in common: n arguments in all.
func parseXattr(c *cli.Context, n int) (o xattrOptions, err error) {
	o.image, o.path, err = parsePath(c, n)
	o.attr, o.follow, o.json = c.Args().Get(2), !c.Bool("no-dereference"), c.Bool("json")
	return o, err
}

func parseXattrGet(c *cli.Context) (xattrOptions, error)    { return parseXattr(c, 3) }
func parseXattrRemove(c *cli.Context) (xattrOptions, error) { return parseXattr(c, 3) }

func parseXattrSet(c *cli.Context) (o xattrOptions, err error) {
	if c.Bool("create") && c.Bool("replace") {
		return o, usagef(c, "--create and --replace exclude each other")
	}
	value, err := parseValue(c.Args().Get(3))
	if err != nil {
		return o, usagef(c, "%v", err)
	}
	if o, err = parseXattr(c, 4); err != nil {
		return o, err
	}
	o.value = value
	switch {
	case c.Bool("create"):
		o.flags = ext4.XattrCreate
	case c.Bool("replace"):
		o.flags = ext4.XattrReplace
	}
	return o, nil
}

// run opens the image and runs fn.
func (o xattrOptions) run(e *env, how access, fn func(f *ext4.FS) error) error {
	return withImage(e, o.image, how, func(img *image) error { return opError(e, o.path, fn(img.fs)) })
}

func xattrGet(e *env, o xattrOptions) error {
	return o.run(e, reading, func(f *ext4.FS) error {
		value, err := f.Xattr(o.path, o.attr, o.follow)
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(e, newXattrEntry(o.path, o.attr, value))
		}
		_, err = rawOutput(e).Write(value)
		if err == nil && isTerminal(rawOutput(e)) {
			say(e, "\n")
		}
		return err
	})
}

func xattrSet(e *env, o xattrOptions) error {
	return o.run(e, writing, func(f *ext4.FS) error { return f.SetXattr(o.path, o.attr, o.value, o.flags, o.follow) })
}

func xattrRemove(e *env, o xattrOptions) error {
	return o.run(e, writing, func(f *ext4.FS) error { return f.RemoveXattr(o.path, o.attr, o.follow) })
}

// xattrListOptions are the flags and arguments of xattr list.
type xattrListOptions struct {
	pathsOptions
	follow, json bool
}

func parseXattrList(c *cli.Context) (o xattrListOptions, err error) {
	o.follow, o.json = !c.Bool("no-dereference"), c.Bool("json")
	o.pathsOptions, err = parsePaths(c, 2)
	return o, err
}

func xattrList(e *env, o xattrListOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		l := xattrLister{fs: img.fs, follow: o.follow, out: rawOutput(e), json: newJSONList(e, o.json), fails: newFailures(e)}
		return l.fails.end(l.json.ended(eachOf(o.paths, l.list)))
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
		if err := l.fails.add(p, reason(err)); err != nil {
			return err
		}
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
