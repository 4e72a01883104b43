package main

import "github.com/urfave/cli/v2"

func manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the man page", ArgsUsage: " ",
		Description: example("", "ext4img man > ext4img.1"),
		Action:      action(parseMan, printScript),
	}
}

// parseMan is the man page.
func parseMan(c *cli.Context) (page string, err error) {
	if err := need(c, 0, 0); err != nil {
		return "", err
	}
	return c.App.ToManWithSection(1)
}
