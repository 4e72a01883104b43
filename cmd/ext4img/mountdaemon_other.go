//go:build !linux

package main

import "io"

// isDaemon tells whether this is a program in the background, which there is on Linux alone.
func isDaemon() bool { return true }

// startDaemon is for Linux alone.
func startDaemon(io.Writer) error { return nil }

// daemonReady is for Linux alone.
func daemonReady() error { return nil }

// systemLog is for Linux alone.
func systemLog(string) func(string) { return func(string) {} }
