package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// env is what a command runs in: how it was called, its streams, and the flags that are the same for all commands. What a
// command does gets an env and the options that its parse function made, and never the *cli.Context.
type env struct {
	ctx     context.Context // ends with a signal
	in      io.Reader       // standard input
	out     io.Writer       // results; say and rawOutput write to it
	err     io.Writer       // messages; complain writes to it
	help    string          // the command as its help names it: "ext4img xattr get"
	status  int             // exit status of usage errors
	quiet   bool            // no progress bar
	part    int             // --partition
	hasPart bool            // it was given
	log     string          // file with the external journal; "": none
	engine  string          // of the device's queue; "": the command has no such flag
}

// newEnv is the environment of the command that is run.
func newEnv(c *cli.Context) *env {
	return &env{
		ctx: c.Context, in: c.App.Reader, out: c.App.Writer, err: c.App.ErrWriter,
		help: c.Command.HelpName, status: usageStatus(c.Command.Name), quiet: c.Bool("quiet"),
		part: c.Int("partition"), hasPart: c.IsSet("partition"), log: c.String("journal"), engine: c.String("engine"),
	}
}

// usagef is the usageError of the command.
func (e *env) usagef(format string, args ...any) error {
	return &usageError{e.help, e.status, fmt.Sprintf(format, args...)}
}

// operation is the command's name; a subcommand's with that of its parent.
func (e *env) operation() string { return strings.TrimPrefix(e.help, name+" ") }

// action is the Action of a command: its flags and arguments are parsed, then it runs.
func action[O any](parse func(c *cli.Context) (O, error), run func(e *env, o O) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		o, err := parse(c)
		if err != nil {
			return err
		}
		return run(newEnv(c), o)
	}
}
