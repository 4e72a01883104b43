//go:build !unix

package main

import "io"

// checkStdin tells whether standard input is there; where it is not, reading fails.
func checkStdin(io.Reader) error { return nil }
