package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ext4img/ext4"
	"ext4img/ext4/mount"

	"github.com/urfave/cli/v2"
)

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "serve the file system to all programs, through FUSE",
		ArgsUsage: "IMAGE DIR",
		Description: example("On Linux. DIR is empty; root needs nothing else, others need fusermount3. Goes to the background when the mount is\n"+
			"up; umount, fusermount3 -u or SIGTERM end it. OPTIONS as of mount(8): ro, allow_other, uid=N, gid=N, noatime, strictatime,\n"+
			"nodiratime, suid, dev, noexec, commit=SECONDS, partition=N, journal=FILE. Under the name mount.fuse.ext4img in /sbin\n"+
			"it serves mount -t fuse.ext4img. sync(1) reaches no FUSE file system: what fsync has not made durable is committed\n"+
			"every 5 seconds. The image stays locked until all is home: umount DIR && flock IMAGE e2fsck -fn IMAGE.",
			"ext4img mount disk.img /mnt", "ext4img mount -o ro,partition=2 --foreground disk.img ~/mnt"),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "options", Aliases: []string{"o"}, Usage: "comma-separated `OPTIONS`"},
			&cli.BoolFlag{Name: "foreground", Aliases: []string{"f"}, Usage: "stay in the foreground"},
			&cli.StringFlag{Name: "log", Usage: "what happens later goes to `FILE`, not to syslog"},
		},
		Action: action(parseMount, mountImage),
	}
}

// mountOptions are the flags and arguments of mount.
type mountOptions struct {
	image, dir string
	mountFlags
	foreground bool
	logFile    string
}

func parseMount(c *cli.Context) (o mountOptions, err error) {
	if err := need(c, 2, 2); err != nil {
		return o, err
	}
	flags, err := parseMountFlags(c.StringSlice("options"))
	if err != nil {
		return o, usagef(c, "%v", err)
	}
	for flag, value := range flags.global {
		if err := c.Set(flag, value); err != nil {
			return o, usagef(c, "option %s: %v", flag, err)
		}
	}
	return mountOptions{c.Args().Get(0), c.Args().Get(1), flags, c.Bool("foreground"), c.String("log")}, nil
}

func mountImage(e *env, o mountOptions) error {
	if !o.foreground && !isDaemon() {
		return opError(e, o.dir, startDaemon(messages(e)))
	}
	img, err := openMounted(e, o)
	if err != nil {
		return opError(e, o.image, err)
	}
	err = opError(e, o.dir, o.serve(e, img))
	if closed := img.close(); closed != nil && err == nil {
		err = opError(e, img.path, closed)
	}
	return err
}

// openMounted opens the image for as long as it is mounted.
func openMounted(e *env, o mountOptions) (*image, error) {
	how := writing
	if o.readOnly {
		how = reading
	}
	dev, err := openDevice(e, o.image, how)
	if err != nil {
		return nil, err
	}
	log, err := openLog(e, how)
	if err != nil {
		return nil, closing(err, dev)
	}
	fsys, err := ext4.Open(dev, ext4.Options{ReadOnly: o.readOnly, Journal: log, CommitInterval: o.commit})
	if err != nil {
		return nil, closing(&fs.PathError{Op: "open", Path: o.image, Err: err}, log, dev)
	}
	for _, w := range fsys.Warnings() {
		complain(messages(e), "warning: %s: %v", o.image, w)
	}
	return &image{o.image, dev, log, fsys}, nil
}

// serve serves the file system until it is unmounted, or the program is told to end.
func (o mountOptions) serve(e *env, img *image) error {
	log, closeLog, err := o.openMessages(messages(e))
	if err != nil {
		return err
	}
	defer closeLog()
	served := o.Options
	served.Log = log
	if served.Source == "" {
		if served.Source, err = filepath.Abs(o.image); err != nil {
			return err
		}
	}
	s, err := mount.Serve(img.fs, o.dir, served)
	if err != nil {
		return err
	}
	if err := daemonReady(); err != nil {
		log(err.Error()) // whoever started it is gone, and the mount is up
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-e.ctx.Done():
			if err := s.Unmount(); err != nil {
				log(err.Error())
			}
		case <-ended:
		}
	}()
	err = s.Wait()
	close(ended)
	if err != nil {
		log(err.Error())
	}
	return err
}

// openMessages is where messages go while the file system is mounted.
func (o mountOptions) openMessages(errs io.Writer) (log func(string), end func(), err error) {
	write := func(to io.Writer) func(string) {
		return func(text string) {
			printText(to, "%s %s: %s: %s\n", time.Now().Format(time.RFC3339), name, o.image, text)
		}
	}
	switch {
	case o.logFile != "":
		f, err := os.OpenFile(o.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, nil, err
		}
		return write(f), func() { _ = f.Close() }, nil
	case isDaemon():
		return systemLog(o.image), func() {}, nil
	}
	return write(errs), func() {}, nil
}
