package main

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// readyVariable tells the program in the background on which descriptor it is to say that the mount is up.
const readyVariable = "EXT4IMG_MOUNT_READY"

// isDaemon tells whether this is the program in the background.
func isDaemon() bool { return os.Getenv(readyVariable) != "" }

// startDaemon runs the same command line in the background, and returns when it says that the mount is up, or has failed:
// it has told errs why then.
func startDaemon(errs io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	c := &exec.Cmd{
		Path: self, Args: os.Args, Env: append(os.Environ(), readyVariable+"=3"), ExtraFiles: []*os.File{w},
		Stderr: errs, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = c.Start()
	if e := w.Close(); err != nil || e != nil {
		return errors.Join(err, e)
	}
	if said, err := io.ReadAll(r); err != nil || len(said) > 0 {
		return err
	}
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &exitStatus{exit.ExitCode()}
	} else if err != nil {
		return fmt.Errorf("in the background: %w", err)
	}
	return errors.New("in the background: ended before the mount was up")
}

// daemonReady says that the mount is up, and gives up what belongs to the process that started the program.
func daemonReady() error {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for std := range 3 {
		if err := unix.Dup3(int(null.Fd()), std, 0); err != nil {
			return err
		}
	}
	pipe := os.NewFile(uintptr(fd), "pipe")
	_, err = pipe.Write([]byte{'+'})
	return errors.Join(err, pipe.Close(), os.Chdir("/"))
}

// systemLog sends messages to syslog, where there is one.
func systemLog(image string) func(string) {
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_WARNING, name)
	if err != nil {
		return func(string) {}
	}
	return func(text string) {
		var line strings.Builder
		printText(&line, "%s: %s", image, text)
		_ = w.Warning(line.String())
	}
}
