package main

import "github.com/urfave/cli/v2"

func manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the man page", ArgsUsage: " ",
		Description: example("", "ext4img man > ext4img.1"),
		Action: func(c *cli.Context) error {
			if err := need(c, 0, 0); err != nil {
				return err
			}
			page, err := c.App.ToManWithSection(1)
			if err != nil {
				return err
			}
			say(c, "%s", ours(page))
			return nil
		},
	}
}
