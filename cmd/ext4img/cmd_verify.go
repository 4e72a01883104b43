package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/check"

	"github.com/urfave/cli/v2"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      verifyName,
		Aliases:   []string{"fsck"},
		Usage:     "check a file system, changing nothing",
		ArgsUsage: "IMAGE",
		Description: example("A dirty journal is recovered in memory first. Exit status: 0 clean, 4 problems found, 8 cannot be\n"+
			"checked, 16 usage.", "ext4img verify disk.img", "ext4img verify --json disk.img"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Usage: "notes and statistics as well"},
			&cli.BoolFlag{Name: "like-e2fsck", Usage: "what e2fsck -fn does not look for leaves the exit status alone"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			err := verify(c)
			if out, ok := rawOutput(c).(*stdout); ok {
				if e := out.end(); e != nil && (err == nil || errors.As(err, new(*exitStatus)) || errors.As(err, new(*outputError))) {
					return &outputError{errors.Unwrap(e), check.ExitCannotCheck} // what was found has not been told
				}
			}
			return err
		},
	}
}

// verifyGC lets the garbage grow to half of what is in use: a check makes little of it, and its memory is what people
// give a virtual machine for it.
const verifyGC = 50

// verifyResult is the JSON of verify.
type verifyResult struct {
	Clean       bool            `json:"clean"`
	Problems    []check.Problem `json:"problems"`
	Files       uint64          `json:"files"`
	Directories uint64          `json:"directories"`
	BlocksUsed  uint64          `json:"blocks_used"`
	Seconds     float64         `json:"seconds"`
	Error       string          `json:"error,omitempty"` // why it could not be checked
	Recovered   bool            `json:"recovered"`       // the journal was recovered in memory first
}

func verify(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	path := c.Args().First()
	debug.SetGCPercent(verifyGC)
	start := time.Now()
	dev, err := openDevice(c, path, scanning)
	if err != nil {
		return cannotCheck(c, opError(c, "", err))
	}
	var rep *check.Report
	seen, log, err := withExternalLog(c, dev)
	if err == nil {
		rep, err = checkDevice(c, seen)
	}
	if e := errors.Join(closeLog(log), dev.Close()); err == nil {
		err = e
	}
	if err != nil {
		return cannotCheck(c, opError(c, path, err))
	}
	res := verifyResult{
		Clean: rep.ExitStatus(c.Bool("like-e2fsck")) == check.ExitClean, Problems: rep.Problems, Files: rep.Files,
		Directories: rep.Directories, BlocksUsed: rep.BlocksUsed, Seconds: time.Since(start).Seconds(), Recovered: rep.Recovered != nil,
	}
	if rep.Fatal != nil {
		res.Error = rep.Fatal.Error()
	}
	if c.Bool("json") {
		if res.Problems == nil {
			res.Problems = []check.Problem{}
		}
		if err := printJSON(c, res); err != nil {
			return err
		}
	} else {
		printReport(c, path, rep, res)
	}
	if status := rep.ExitStatus(c.Bool("like-e2fsck")); status != exitOK {
		return &exitStatus{status}
	}
	return nil
}

// withExternalLog is a device as it is after the recovery of its external journal, if one was given, in memory.
func withExternalLog(c *cli.Context, dev aio.Device) (aio.Device, aio.Device, error) {
	log, err := openLog(c, reading)
	if err != nil || log == nil {
		return dev, nil, err
	}
	over := aio.NewOverlay(dev)
	return over, log, ext4.Replay(over, aio.NewOverlay(log))
}

// cannotCheck ends verify when there is no report. An interrupt keeps its own status.
func cannotCheck(c *cli.Context, err error) error {
	if c.Context.Err() != nil {
		return err
	}
	complain(messages(c), "%v", err)
	if c.Bool("json") {
		if e := printJSON(c, verifyResult{Problems: []check.Problem{}, Error: errorText(err)}); e != nil {
			return e
		}
	}
	return &exitStatus{check.ExitCannotCheck}
}

// checkDevice runs the check with a progress bar.
func checkDevice(c *cli.Context, dev aio.Device) (*check.Report, error) {
	var bar *progress
	last := -1
	rep, err := check.Run(dev, check.Options{
		Context:   c.Context,
		ApplyFast: ext4.ApplyFast,
		Progress: func(pass int, done, total uint64) {
			if pass != last {
				if bar != nil {
					bar.end()
				}
				last, bar = pass, newProgress(c, fmt.Sprintf("pass %d", pass), int64(total))
			}
			bar.set(int64(done))
		},
	})
	if bar != nil {
		bar.end()
	}
	return rep, err
}

// printReport shows the report as text.
func printReport(c *cli.Context, path string, rep *check.Report, res verifyResult) {
	if rep.Recovered != nil {
		say(c, "%s: journal recovered in memory: %d transactions, %d blocks\n", path, rep.Recovered.Transactions, rep.Recovered.Blocks)
	}
	shown := map[check.Code]int{}
	for _, p := range res.Problems {
		shown[p.Code]++
		if p.Severity == check.Note && !c.Bool("verbose") {
			continue
		}
		say(c, "%s: %s\n", p.Code, p.Message)
	}
	for code, n := range rep.Counts {
		if more := n - shown[code]; more > 0 {
			say(c, "%s: %d more\n", code, more)
		}
	}
	if rep.Fatal != nil {
		say(c, "%s: cannot be checked: %v\n", path, rep.Fatal)
		return
	}
	if rep.GivesUp && c.Bool("like-e2fsck") {
		say(c, "%s: e2fsck -fn gives up here\n", path)
	}
	verdict := "problems found"
	if res.Clean {
		verdict = "clean"
	}
	say(c, "%s: %s, %d files, %d directories, %d of %d blocks used\n", path, verdict, rep.Files, rep.Directories, rep.BlocksUsed, rep.Blocks)
	if c.Bool("verbose") {
		say(c, "%.2f s\n", res.Seconds)
	}
}
