package main

import (
	"github.com/urfave/cli/v2"
)

func journalCommand() *cli.Command {
	return &cli.Command{
		Name:        "journal",
		Usage:       "show or recover the journal",
		ArgsUsage:   "show|recover IMAGE",
		Description: example("", "ext4img journal show disk.img", "ext4img journal recover disk.img"),
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "print the log, block by block", ArgsUsage: "IMAGE",
				Description: example("Changes nothing.", "ext4img journal show disk.img"),
				Flags:       []cli.Flag{jsonFlag(), &cli.BoolFlag{Name: "tags", Usage: "the blocks of each transaction as well"}},
				Action:      journalShow,
			},
			{
				Name: "recover", Usage: "recover the journal and the orphans, nothing else", ArgsUsage: "IMAGE",
				Description: example("", "ext4img journal recover disk.img"),
				Flags:       []cli.Flag{jsonFlag()},
				Action:      journalRecover,
			},
		},
		Action: noSubcommand,
	}
}

// recoverResult is the JSON of journal recover.
type recoverResult struct {
	Recovered    bool   `json:"recovered"` // false: the log was clean
	Transactions int    `json:"transactions"`
	Blocks       int    `json:"blocks"`
	Revoked      int    `json:"revoked"`
	FastCommits  int    `json:"fast_commits"`
	First        uint32 `json:"first"`
	Next         uint32 `json:"next"`
}

func journalRecover(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	return withImage(c, writing, func(img *image) error {
		var res recoverResult
		if r := img.fs.Recovery(); r != nil {
			res = recoverResult{true, r.Transactions, r.Blocks, r.Revoked, len(r.Fast), uint32(r.First), uint32(r.Next)}
		}
		switch {
		case c.Bool("json"):
			return printJSON(c, res)
		case !res.Recovered:
			say(c, "%s: the journal is clean\n", img.path)
		default:
			say(c, "%s: recovered: %d transactions from %d on, %d blocks, %d revoked, %d fast commits\n", img.path,
				res.Transactions, res.First, res.Blocks, res.Revoked, res.FastCommits)
		}
		return nil
	})
}
