package main

import (
	"ext4img/cmd/ext4img/internal/sizes"

	"github.com/urfave/cli/v2"
)

// size is the value of a flag that takes a size.
type size struct {
	n   int64
	set bool
}

func (s *size) Set(text string) (err error) {
	s.n, err = sizes.Parse(text)
	s.set = err == nil
	return err
}

func (s *size) String() string {
	if s == nil || s.n == 0 && !s.set {
		return ""
	}
	return sizes.Short(s.n)
}

// sizeFlag defines a flag that takes a size. def 0: none.
func sizeFlag(def int64, usage string, names ...string) cli.Flag {
	return &cli.GenericFlag{Name: names[0], Aliases: names[1:], Usage: usage, Value: &size{n: def}}
}
