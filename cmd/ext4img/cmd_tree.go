package main

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func treeCommand() *cli.Command {
	return &cli.Command{
		Name:        "tree",
		Usage:       "draw a directory and everything below",
		ArgsUsage:   "IMAGE [PATH]",
		Description: example("", "ext4img tree disk.img /"),
		Flags:       []cli.Flag{jsonFlag()},
		Action:      action(parseTree, printTree),
	}
}

// treeNode is the JSON of tree. It is written field by field, children as the walk finds them.
type treeNode struct {
	Name     string     `json:"name"`
	Type     string     `json:"type"`
	Size     int64      `json:"size"`
	Target   string     `json:"target,omitempty"`
	Error    string     `json:"error,omitempty"` // why it, or a part of what is in it, cannot be read
	Children []treeNode `json:"children,omitempty"`
}

// treeOptions are the flags and arguments of tree.
type treeOptions struct {
	image, path string
	json        bool
}

func parseTree(c *cli.Context) (o treeOptions, err error) {
	if err := need(c, 1, 2); err != nil {
		return o, err
	}
	o.image, o.path, o.json = c.Args().First(), "/", c.Bool("json")
	if c.NArg() == 2 {
		o.path, err = inside(c, c.Args().Get(1))
	}
	return o, err
}

func printTree(e *env, o treeOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		top, err := img.fs.Find(o.path, true)
		if err == nil {
			_, err = top.Stat("") // without a top there is nothing to draw
		}
		if err != nil {
			return opError(e, o.path, reason(err))
		}
		t := &treeWalk{out: rawOutput(e), fails: newFailures(e)}
		if o.json {
			t.json = newJSON(t.out)
		}
		return t.fails.end(t.run(e.ctx, top, o.path))
	})
}

// treeWalk draws a tree while it is walked, or writes it as JSON.
type treeWalk struct {
	out         io.Writer
	json        *jsonWriter // nil: text
	fails       *failures
	dirs, files int

	indent []byte // text: before the names in the last node, if it is a directory
	widths []int  // text: for each node from the top to the last, the length of indent for the names in it
	open   []bool // JSON: the nodes from the top to the last one; whether it has children so far
	told   bool   // JSON: the last node has an error already
}

func (t *treeWalk) run(ctx context.Context, top ext4.Inode, name string) error {
	w := ext4.Walk{Visit: t.visit, Bad: t.bad}
	if err := w.Run(ctx, top, name); err != nil {
		return err
	}
	if t.json != nil {
		t.closeTo(0)
		return t.json.finish()
	}
	return printText(t.out, "\n%d directories, %d files\n", t.dirs, t.files)
}

func (t *treeWalk) visit(v *ext4.Visit) error {
	target := ""
	var err error
	if v.Info.Mode()&fs.ModeSymlink != 0 {
		target, err = v.Inode.Readlink()
	}
	t.node(v, target)
	if err != nil {
		return t.failed(v, reason(err))
	}
	return nil
}

// bad is a name that cannot be followed, or a directory of which something cannot be read, which has been drawn already.
func (t *treeWalk) bad(v *ext4.Visit, err error) error {
	if v.Info == nil || errors.As(err, new(*ext4.LoopError)) {
		t.node(v, "")
	}
	return t.failed(v, err)
}

// failed names what failed with the node that was drawn last.
func (t *treeWalk) failed(v *ext4.Visit, err error) error {
	if t.json != nil && !t.told {
		t.told = true
		t.json.field("error", errorText(err))
	}
	return t.fails.add(v.Path(), err)
}

// node draws one name; what is in it comes next.
func (t *treeWalk) node(v *ext4.Visit, target string) {
	kind, size := "unknown", int64(0)
	if v.Info != nil {
		kind, size = typeName(v.Info.Mode()), v.Info.Size()
	}
	switch {
	case v.Info == nil || !v.Info.IsDir():
		t.files++
	case v.Depth > 0:
		t.dirs++
	}
	if t.json == nil {
		t.line(v, target)
		return
	}
	t.closeTo(v.Depth)
	if v.Depth > 0 && !t.open[v.Depth-1] {
		t.open[v.Depth-1] = true
		t.json.key("children")
		t.json.array()
	}
	t.json.object()
	t.open, t.told = append(t.open, false), false
	t.json.field("name", v.Name)
	t.json.field("type", kind)
	t.json.field("size", size)
	if target != "" {
		t.json.field("target", target)
	}
}

// closeTo ends the JSON of all nodes but the first n from the top.
func (t *treeWalk) closeTo(n int) {
	for len(t.open) > n {
		if t.open[len(t.open)-1] {
			t.json.end()
		}
		t.json.end()
		t.open = t.open[:len(t.open)-1]
	}
}

// line draws a name as text.
func (t *treeWalk) line(v *ext4.Visit, target string) {
	branch, below := "├── ", "│   "
	switch {
	case v.Depth == 0:
		branch, below = "", ""
	case v.Last:
		branch, below = "└── ", "    "
	}
	t.indent = t.indent[:0]
	if v.Depth > 0 {
		t.indent = t.indent[:t.widths[v.Depth-1]]
	}
	printText(t.out, "%s%s%s", t.indent, branch, v.Name)
	if target != "" {
		printText(t.out, " -> %s", target)
	}
	printText(t.out, "\n")
	t.indent = append(t.indent, below...)
	t.widths = append(t.widths[:v.Depth], len(t.indent))
}
