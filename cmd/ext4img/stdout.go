package main

import (
	"bufio"
	"io"
	"os"
)

// stdout is standard output: buffered unless it is a terminal, and remembering its first error, for results that do not
// arrive are a failure.
type stdout struct {
	to  io.Writer
	buf *bufio.Writer // nil: not buffered
	err error
}

func newStdout(w io.Writer) *stdout {
	s := &stdout{to: w}
	if !isTerminal(w) {
		s.buf = bufio.NewWriterSize(w, 1<<16)
	}
	return s
}

func (s *stdout) Write(p []byte) (n int, err error) {
	if s.buf != nil {
		n, err = s.buf.Write(p)
	} else {
		n, err = s.to.Write(p)
	}
	return n, s.note(err)
}

// end writes what is buffered and returns the first error.
func (s *stdout) end() error {
	if s.buf != nil {
		s.note(s.buf.Flush())
	}
	return s.err
}

// note remembers the first error.
func (s *stdout) note(err error) error {
	if err != nil {
		err = &outputError{reason(err), exitFailed}
		if s.err == nil {
			s.err = err
		}
	}
	return err
}

// outputError is an error of standard output: there is nobody left to go on for.
type outputError struct {
	err    error
	status int // to exit with
}

func (e *outputError) Error() string { return "standard output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// file is the open file behind a stream, or nil.
func file(stream any) *os.File {
	switch s := stream.(type) {
	case *os.File:
		return s
	case *stdout:
		return file(s.to)
	}
	return nil
}
