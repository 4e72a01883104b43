package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ext4img/cmd/ext4img/internal/sizes"

	"github.com/urfave/cli/v2"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:        "demo",
		Usage:       "show the main job from nothing: make, preallocate, write, inspect, verify",
		ArgsUsage:   " ",
		Description: example("Without --image, the image is removed at the end.", "ext4img demo", "ext4img demo --image demo.img --size 1G"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "make the image in `FILE`, and keep it"},
			sizeFlag(256<<20, "`SIZE` of the image", "size"),
			&cli.BoolFlag{Name: "force", Aliases: []string{"F"}, Usage: "overwrite what is in the image"},
		},
		Action: action(parseDemo, demo),
	}
}

// demoOptions are the flags of demo.
type demoOptions struct {
	image string // "": a temporary one
	bytes int64
	force bool
}

func parseDemo(c *cli.Context) (o demoOptions, err error) {
	if err := need(c, 0, 0); err != nil {
		return o, err
	}
	o.image, o.force = c.String("image"), c.Bool("force")
	o.bytes, _ = sizeOf(c, "size")
	if o.bytes < 16<<20 {
		return o, usagef(c, "size %d: must be at least 16M", o.bytes)
	}
	return o, nil
}

// demo runs the commands a user would type, and shows them.
func demo(e *env, o demoOptions) error {
	image := o.image
	if image == "" {
		dir, err := os.MkdirTemp("", "ext4img-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		image = filepath.Join(dir, "demo.img")
	}
	file := o.bytes / 4 &^ (1<<20 - 1)
	force := ""
	if o.force {
		force = " --force"
	}
	steps := []struct {
		why  string
		args string
	}{
		{"An empty ext4 file system in a sparse file.", fmt.Sprintf("mkfs%s -L demo IMAGE %s", force, sizes.Short(o.bytes))},
		{"A file of unwritten extents: blocks, but no data.", fmt.Sprintf("fallocate -l %s IMAGE /data", sizes.Short(file))},
		{"Before: one piece, or a few, all unwritten.", "extents IMAGE /data"},
		{"Asynchronous direct writes at random places, 32 in flight; what completes is converted, and read back.",
			fmt.Sprintf("stress --rw randwrite --bs 1M --iodepth 32 --io-size %s --verify IMAGE /data", sizes.Short(file/4))},
		{"After: exactly the ranges that were written are written.", "extents IMAGE /data"},
		{"And the check that agrees with e2fsck -fn.", "verify IMAGE"},
	}
	var typed []string
	for _, s := range steps {
		shown := name + " " + strings.ReplaceAll(s.args, "IMAGE", image)
		typed = append(typed, shown)
		say(e, "%s\n$ %s\n", s.why, shown)
		args := []string{name}
		for _, word := range strings.Fields(s.args) {
			if word == "IMAGE" {
				word = image
			}
			args = append(args, word)
		}
		if err := runApp(e.ctx, args, stdio{e.in, rawOutput(e), messages(e)}); err != nil {
			return err
		}
		say(e, "\n")
	}
	say(e, "Done. The same by hand:\n")
	for _, line := range typed {
		say(e, "  %s\n", line)
	}
	if o.image == "" {
		say(e, "(the image was removed; --image FILE keeps it)\n")
	}
	return nil
}
