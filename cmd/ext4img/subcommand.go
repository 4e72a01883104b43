package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// noSubcommand is the action of a command that has subcommands and got none.
func noSubcommand(c *cli.Context) error {
	var names []string
	for _, s := range c.Command.Subcommands {
		if s.Name != "help" {
			names = append(names, s.Name)
		}
	}
	return usagef(c, "%s: want one of %s", c.Command.Name, strings.Join(names, ", "))
}
