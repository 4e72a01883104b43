package main

import (
	"errors"
	"strings"
	"testing"
)

// TestArrange: flags before and after arguments, as getopt_long has them.
func TestArrange(t *testing.T) {
	for line, want := range map[string]string{
		"info a.img --json":                      "info --json -- a.img",
		"ls -lR a.img / -i":                      "ls --long --recursive --inode -- a.img /",
		"fallocate a.img -l4K /f -po8K":          "fallocate --length=4K --punch-hole --offset=8K -- a.img /f",
		"fallocate a.img /f --length 4K -n":      "fallocate --length=4K --keep-size -- a.img /f",
		"truncate a.img /f -s -4K":               "truncate --size=-4K -- a.img /f",
		"truncate a.img --size=+4K /f":           "truncate --size=+4K -- a.img /f",
		"info a.img --partition 2":               "--partition=2 info -- a.img",
		"cat a.img -- -x --json":                 "cat -- a.img -x --json",
		"put - a.img /f":                         "put -- - a.img /f",
		"fsck a.img":                             "verify -- a.img",
		"aio-stress a.img -o 2 -o 3 -O -s100m /": "stress --o=2 --o=3 --O --s=100m -- a.img /",
		"dump a.img inode":                       "",
		"dump inode 12 a.img":                    "dump inode -- 12 a.img",
		"ls -h a.img":                            "ls --help",
		"help ls":                                "ls --help",
		"--version":                              "--version",
		"info --nope a.img":                      "",
		"info a.img --json --nope":               "",
		"fallocate a.img /f -l":                  "",
		"nope a.img":                             "",
		"--partition":                            "",
	} {
		got, err := arrange(newApp(stdio{}), strings.Fields(line))
		var usage *usageError
		switch {
		case want == "" && !errors.As(err, &usage):
			t.Errorf("%q: %q, %v; want a usage error", line, got, err)
		case want != "" && (err != nil || strings.Join(got, " ") != want):
			t.Errorf("%q: %q, %v; want %q", line, strings.Join(got, " "), err, want)
		}
	}
}

func TestModes(t *testing.T) {
	for _, m := range []struct {
		mode string
		old  uint16
		dir  bool
		want uint16
	}{
		{"644", 0, false, 0o644}, {"4755", 0, false, 0o4755}, {"u+x", 0o644, false, 0o744}, {"go-rwx", 0o777, false, 0o700},
		{"a=r", 0o755, false, 0o444}, {"+X", 0o644, false, 0o644}, {"+X", 0o644, true, 0o755}, {"u=rwx,g+s", 0o055, false, 0o2755}, {"+t", 0o777, true, 0o1777},
	} {
		change, err := parseMode(m.mode)
		if err != nil {
			t.Errorf("%s: %v", m.mode, err)
		} else if got := change(m.old, m.dir); got != m.want {
			t.Errorf("%s of %o: %o, want %o", m.mode, m.old, got, m.want)
		}
	}
	for _, s := range []string{"", "8", "77777", "u", "z+x", "u+q"} {
		if _, err := parseMode(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
}

func TestTruncateSizes(t *testing.T) {
	for s, want := range map[string]int64{"100": 100, "+5": 1005, "-1K": 0, "<10": 10, ">10": 1000, "/300": 900, "%300": 1200} {
		ch, err := parseChange(s)
		if err != nil || ch.apply(1000) != want {
			t.Errorf("%q: %d, %v; want %d", s, ch.apply(1000), err, want)
		}
	}
	for _, s := range []string{"", "+", "/0", "x"} {
		if _, err := parseChange(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
}
