// Ext4img opens ext4 file systems in user space: images, partitions inside disk images, and
// block devices. It owns the terminal: flags, tables, progress, exit codes. A command is a file cmd_NAME.go: its flags are
// parsed into options once, and what it does gets those and an env. The work itself is in package ext4 and beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	_ "ext4img/cmd/ext4img/internal/descriptors" // ends the program where there are too few to begin with
)

// Exit statuses; verify has those of fsck(8).
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitVerifyUsage = 16
)

const verifyName = "verify"

func main() {
	limitMemory()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(os.Args, stdio{os.Stdin, os.Stdout, os.Stderr}, signals))
}

// stdio is what a command reads from and writes to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// run is the program: it returns the exit status.
func run(args []string, std stdio, signals chan os.Signal) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case sig := <-signals:
			signal.Stop(signals) // a second one ends the program at once
			cancel(&interrupted{sig})
		case <-ended:
		}
	}()
	out := newStdout(std.out)
	err := runApp(ctx, args, stdio{std.in, out, std.err})
	if e := out.end(); e != nil && (err == nil || errors.As(err, new(*exitStatus))) {
		err = e
	}
	var sig *interrupted
	if errors.As(context.Cause(ctx), &sig) {
		complain(std.err, "%v", sig)
		if err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, new(*interrupted)) {
			complain(std.err, "%v", err)
		}
		return sig.status()
	}
	return report(err, std.err)
}

// runApp parses the arguments and runs the command.
func runApp(ctx context.Context, args []string, std stdio) error {
	args, fake := helperLine(args)
	if fake {
		return nil
	}
	app := newApp(std)
	if len(args) < 2 {
		app.Writer = std.err
		if err := app.RunContext(ctx, []string{name, "--help"}); err != nil {
			return err
		}
		return &exitStatus{exitUsage}
	}
	if args[len(args)-1] == "--generate-bash-completion" {
		return app.RunContext(ctx, args)
	}
	line, err := arrange(app, args[1:])
	if err != nil {
		return err
	}
	return app.RunContext(ctx, append([]string{name}, line...))
}

// report prints an error and returns its exit status.
func report(err error, to io.Writer) int {
	var status *exitStatus
	var usage *usageError
	var output *outputError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return status.code
	case errors.As(err, &output):
		complain(to, "%v", err)
		return output.status
	case errors.As(err, &usage):
		complain(to, "%v", err)
		if usage.command != "" {
			printText(to, "Try '%s --help'.\n", usage.command)
		}
		return usage.status
	}
	complain(to, "%v", err)
	return exitFailed
}

// exitStatus ends the program with a status; everything has been said.
type exitStatus struct{ code int }

func (e *exitStatus) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// usageError is a command line that cannot be run.
type usageError struct {
	command string // whose help to look at
	status  int
	msg     string
}

func (e *usageError) Error() string { return e.msg }

// usageStatus is the exit status of a usage error: fsck(8) has its own.
func usageStatus(command string) int {
	if command == verifyName {
		return exitVerifyUsage
	}
	return exitUsage
}

// interrupted is the signal that asked for an end.
type interrupted struct{ sig os.Signal }

func (e *interrupted) Error() string { return "stopped by signal: " + e.sig.String() }

func (e *interrupted) status() int {
	if n, ok := e.sig.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailed
}
