package main

import (
	"context"
	"errors"
	"io"
)

// failures is for a command that goes on when one file of many fails: it names each failure on standard error, in one line,
// and remembers that there was one. One goroutine uses it.
type failures struct {
	to  io.Writer
	op  string // the command, for the messages
	bar *progress
	n   int
}

// newFailures is for a command that has no progress bar; those that have one set the field bar, and the bar makes room for
// the messages.
func newFailures(e *env) *failures { return &failures{to: messages(e), op: e.operation()} }

// add names what failed with a file: "ext4img: OPERATION PATH: …". It returns nil, the command goes on. It returns err,
// unnamed, if that ends the whole command: an interrupt, a usage error, results that cannot be written to standard output.
func (f *failures) add(path string, err error) error {
	if err == nil || endsCommand(err) {
		return err
	}
	f.n++
	f.bar.clear()
	complain(f.to, "%v", tell(f.op, path, err))
	return nil
}

// endsCommand tells an error that is not about one file.
func endsCommand(err error) bool {
	return errors.Is(err, context.Canceled) || errors.As(err, new(*interrupted)) || errors.As(err, new(*usageError)) ||
		errors.As(err, new(*exitStatus)) || errors.As(err, new(*outputError))
}

// end is what the command returns: err if there is one, else exit status 1 if something was named.
func (f *failures) end(err error) error {
	if err == nil && f.n > 0 {
		return &exitStatus{exitFailed}
	}
	return err
}
