package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts a command line into the order that package cli understands: global flags, command, its
// flags, "--", positional arguments. Left to itself, cli takes a flag after the first
// positional argument for an argument, in silence. Flags are read as getopt_long does: -ab, -l4K, --length 4K, --length=4K.
func arrange(app *cli.App, args []string) ([]string, error) {
	a := &arranger{app: app, path: name}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		var err error
		switch {
		case arg == "--":
			a.positional = append(a.positional, args[i+1:]...)
			i = len(args)
		case len(arg) > 1 && arg[0] == '-':
			var used int
			used, err = a.flag(arg, args[i+1:])
			i += used
		default:
			err = a.word(arg)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(a.levels) == 0 && !a.help && !a.standalone {
		return nil, a.usage("no command given")
	}
	return a.line(), nil
}

// arranger collects the parts of a command line.
type arranger struct {
	app        *cli.App
	path       string // the command so far, for messages
	globals    []string
	standalone bool // a global flag that needs no command
	levels     []level
	positional []string
	help       bool
}

// level is a command, or a subcommand, with its flags.
type level struct {
	command *cli.Command
	flags   []string
}

// word takes what is not a flag: a command while one is due, else a positional argument.
func (a *arranger) word(arg string) error {
	due := a.app.Commands
	if n := len(a.levels); n > 0 {
		due = a.levels[n-1].command.Subcommands
	}
	if len(due) == 0 || len(a.positional) > 0 {
		a.positional = append(a.positional, arg)
		return nil
	}
	if arg == "help" {
		a.help = true
		return nil
	}
	for _, c := range due {
		if c.HasName(arg) {
			a.levels = append(a.levels, level{command: c})
			a.path += " " + c.Name
			return nil
		}
	}
	return a.usage(fmt.Sprintf("unknown command %q", arg))
}

// flag takes one argument that begins with a dash; rest is what follows it. It returns how many of those it used.
func (a *arranger) flag(arg string, rest []string) (used int, err error) {
	if !strings.HasPrefix(arg, "--") {
		return a.short(arg[1:], rest)
	}
	key, value, has := strings.Cut(arg[2:], "=")
	f, into, err := a.find(key, "--"+key)
	if err != nil || f == nil {
		return 0, err
	}
	if !has && takesValue(f) {
		if len(rest) == 0 {
			return 0, a.usage("flag --" + key + " needs a value")
		}
		value, has, used = rest[0], true, 1
	}
	a.put(into, f, value, has)
	return used, nil
}

// short takes -abc, where the last letter may have its value behind it or as the next argument.
func (a *arranger) short(letters string, rest []string) (used int, err error) {
	for i, r := range letters {
		key := string(r)
		f, into, err := a.find(key, "-"+key)
		if err != nil {
			return 0, err
		}
		if f == nil {
			continue
		}
		if !takesValue(f) {
			a.put(into, f, "", false)
			continue
		}
		value := strings.TrimPrefix(letters[i+len(key):], "=")
		if letters[i+len(key):] == "" {
			if len(rest) == 0 {
				return 0, a.usage("flag -" + key + " needs a value")
			}
			value, used = rest[0], 1
		}
		a.put(into, f, value, true)
		return used, nil
	}
	return 0, nil
}

// find looks a flag up: the innermost command's first, the global ones last. A nil flag without an error is --help.
func (a *arranger) find(key, shown string) (f cli.Flag, into int, err error) {
	for into = len(a.levels); into >= 0; into-- {
		flags := a.app.Flags
		if into > 0 {
			flags = a.levels[into-1].command.Flags
		}
		for _, f := range flags {
			if slices.Contains(f.Names(), key) && len(key) > 0 {
				return f, into, nil
			}
		}
	}
	switch {
	case key == "help" || key == "h":
		a.help = true
		return nil, 0, nil
	case (key == "version" || key == "v") && len(a.levels) == 0:
		a.globals, a.standalone = append(a.globals, "--version"), true
		return nil, 0, nil
	}
	return nil, 0, a.usage("unknown flag " + shown)
}

// put adds a flag to its level.
func (a *arranger) put(into int, f cli.Flag, value string, has bool) {
	s := "--" + f.Names()[0]
	if has {
		s += "=" + value
	}
	if into == 0 {
		a.globals = append(a.globals, s)
		return
	}
	a.levels[into-1].flags = append(a.levels[into-1].flags, s)
}

// line is the result.
func (a *arranger) line() []string {
	line := slices.Clone(a.globals)
	for i, l := range a.levels {
		line = append(append(line, l.command.Name), l.flags...)
		if a.help && i == len(a.levels)-1 {
			return append(line, "--help")
		}
	}
	if a.help {
		return append(line, "--help")
	}
	if len(a.levels) == 0 {
		return line
	}
	return append(append(line, "--"), a.positional...)
}

func (a *arranger) usage(msg string) error {
	status := exitUsage
	if len(a.levels) > 0 {
		status = usageStatus(a.levels[0].command.Name)
	}
	return &usageError{a.path, status, msg}
}

// takesValue tells whether a flag is more than on or off.
func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return !ok || d.TakesValue()
}
