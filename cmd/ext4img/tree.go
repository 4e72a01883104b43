package main

import (
	"io/fs"
	"path"

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
		Action:      tree,
	}
}

// treeNode is the JSON of tree.
type treeNode struct {
	Name     string     `json:"name"`
	Type     string     `json:"type"`
	Size     int64      `json:"size"`
	Target   string     `json:"target,omitempty"`
	Children []treeNode `json:"children,omitempty"`
}

func tree(c *cli.Context) error {
	if err := need(c, 1, 2); err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		p, err := "/", error(nil)
		if c.NArg() == 2 {
			if p, err = pathArg(c); err != nil {
				return err
			}
		}
		info, err := stat(img.fs, p)
		if err != nil {
			return opError(c, p, err)
		}
		t := &treeWalk{c: c, fs: img.fs}
		root, err := t.node(p, p, info, 0)
		if err != nil {
			return opError(c, p, err)
		}
		if c.Bool("json") {
			return printJSON(c, root)
		}
		say(c, "%s\n", p)
		t.draw(root, "")
		say(c, "\n%d directories, %d files\n", t.dirs, t.files)
		return nil
	})
}

type treeWalk struct {
	c           *cli.Context
	fs          *ext4.FS
	dirs, files int
}

// node reads one file and what is below it.
func (t *treeWalk) node(name, shown string, info *ext4.FileInfo, depth int) (n treeNode, err error) {
	n = treeNode{Name: shown, Type: typeName(info.Mode()), Size: info.Size()}
	if info.Mode()&fs.ModeSymlink != 0 {
		if n.Target, err = t.fs.Readlink(name); err != nil {
			return n, err
		}
	}
	if !info.IsDir() {
		t.files++
		return n, nil
	}
	if depth > 0 {
		t.dirs++
	}
	if depth > maxDepth {
		return n, &fs.PathError{Op: "tree", Path: name[:64] + "…", Err: ext4.ErrCorrupt}
	}
	entries, err := t.fs.ReadDir(name)
	if err != nil {
		return n, err
	}
	for _, e := range entries {
		child := path.Join(name, e.Name())
		i, err := lstat(t.fs, child)
		if err != nil {
			return n, err
		}
		sub, err := t.node(child, e.Name(), i, depth+1)
		if err != nil {
			return n, err
		}
		n.Children = append(n.Children, sub)
	}
	return n, nil
}

func (t *treeWalk) draw(n treeNode, indent string) {
	for i, child := range n.Children {
		branch, below := "├── ", "│   "
		if i == len(n.Children)-1 {
			branch, below = "└── ", "    "
		}
		say(t.c, "%s%s%s", indent, branch, child.Name)
		if child.Target != "" {
			say(t.c, " -> %s", child.Target)
		}
		say(t.c, "\n")
		t.draw(child, indent+below)
	}
}
