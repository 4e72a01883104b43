package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

func parseOctal(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf("mode %q: want octal, at most 7777", s)
	}
	return uint16(n), nil
}

// parseMode reads a mode as chmod(1) does, without its rarer letters.
func parseMode(s string) (func(old uint16, dir bool) uint16, error) {
	if n, err := parseOctal(s); err == nil {
		return func(uint16, bool) uint16 { return n }, nil
	}
	var steps []modeStep
	for _, part := range strings.Split(s, ",") {
		step, err := parseModeStep(part)
		if err != nil {
			return nil, fmt.Errorf("mode %q: %w", s, err)
		}
		steps = append(steps, step)
	}
	return func(old uint16, dir bool) uint16 {
		for _, st := range steps {
			old = st.apply(old, dir)
		}
		return old
	}, nil
}

// modeStep is one part of a symbolic mode.
type modeStep struct {
	who   uint16 // bits it may change
	op    byte
	perm  uint16 // rwx, in all three places, and set-id, sticky
	condX bool   // X: execution only for directories and what is executable
}

func parseModeStep(s string) (st modeStep, err error) {
	at := strings.IndexAny(s, "+-=")
	if at < 0 {
		return st, errors.New("want octal, or like u+x,go-w")
	}
	for _, r := range s[:at] {
		switch r {
		case 'u':
			st.who |= 0o4700
		case 'g':
			st.who |= 0o2070
		case 'o':
			st.who |= 0o1007
		case 'a':
			st.who |= 0o7777
		default:
			return st, fmt.Errorf("%q: want u, g, o or a", r)
		}
	}
	if at == 0 {
		st.who = 0o7777
	}
	st.op = s[at]
	for _, r := range s[at+1:] {
		switch r {
		case 'r':
			st.perm |= 0o444
		case 'w':
			st.perm |= 0o222
		case 'x':
			st.perm |= 0o111
		case 'X':
			st.condX = true
		case 's':
			st.perm |= 0o6000
		case 't':
			st.perm |= 0o1000
		default:
			return st, fmt.Errorf("%q: want r, w, x, X, s or t", r)
		}
	}
	if st.perm&0o1000 != 0 {
		st.who |= 0o1000
	}
	return st, nil
}

func (st modeStep) apply(old uint16, dir bool) uint16 {
	perm := st.perm
	if st.condX && (dir || old&0o111 != 0) {
		perm |= 0o111
	}
	perm &= st.who
	switch st.op {
	case '+':
		return old | perm
	case '-':
		return old &^ perm
	}
	return old&^(st.who&0o777) | perm
}
