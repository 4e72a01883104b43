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
		Action: action(parseVerify, verify),
	}
}

// verifyOptions are the flags and arguments of verify.
type verifyOptions struct {
	imageOptions
	verbose, likeE2fsck bool
}

func parseVerify(c *cli.Context) (o verifyOptions, err error) {
	o.verbose, o.likeE2fsck = c.Bool("verbose"), c.Bool("like-e2fsck")
	o.imageOptions, err = parseImage(c)
	return o, err
}

// verify checks, and tells what was found; when that does not arrive, nothing has been checked.
func verify(e *env, o verifyOptions) error {
	err := runVerify(e, o)
	if out, ok := rawOutput(e).(*stdout); ok {
		if lost := out.end(); lost != nil && (err == nil || errors.As(err, new(*exitStatus)) || errors.As(err, new(*outputError))) {
			return &outputError{errors.Unwrap(lost), check.ExitCannotCheck}
		}
	}
	return err
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

func runVerify(e *env, o verifyOptions) error {
	path := o.image
	debug.SetGCPercent(verifyGC)
	start := time.Now()
	dev, err := openDevice(e, path, scanning)
	if err != nil {
		return cannotCheck(e, o, opError(e, path, err))
	}
	var rep *check.Report
	seen, log, err := withExternalLog(e, dev)
	if err == nil {
		rep, err = checkDevice(e, seen)
	}
	if closed := errors.Join(closeLog(log), dev.Close()); err == nil {
		err = closed
	}
	if err != nil {
		return cannotCheck(e, o, opError(e, path, err))
	}
	res := verifyResult{
		Clean: rep.ExitStatus(o.likeE2fsck) == check.ExitClean, Problems: rep.Problems, Files: rep.Files,
		Directories: rep.Directories, BlocksUsed: rep.BlocksUsed, Seconds: time.Since(start).Seconds(), Recovered: rep.Recovered != nil,
	}
	if rep.Fatal != nil {
		res.Error = rep.Fatal.Error()
	}
	if o.json {
		if res.Problems == nil {
			res.Problems = []check.Problem{}
		}
		if err := printJSON(e, res); err != nil {
			return err
		}
	} else {
		printReport(e, o, rep, res)
	}
	if status := rep.ExitStatus(o.likeE2fsck); status != exitOK {
		return &exitStatus{status}
	}
	return nil
}

// withExternalLog is a device as it is after the recovery of its external journal, if one was given, in memory.
func withExternalLog(e *env, dev aio.Device) (aio.Device, aio.Device, error) {
	log, err := openLog(e, reading)
	if err != nil || log == nil {
		return dev, nil, err
	}
	over := aio.NewOverlay(dev)
	return over, log, ext4.Replay(over, aio.NewOverlay(log))
}

// cannotCheck ends verify when there is no report. An interrupt keeps its own status.
func cannotCheck(e *env, o verifyOptions, err error) error {
	if e.ctx.Err() != nil {
		return err
	}
	complain(messages(e), "%v", err)
	if o.json {
		if lost := printJSON(e, verifyResult{Problems: []check.Problem{}, Error: errorText(err)}); lost != nil {
			return lost
		}
	}
	return &exitStatus{check.ExitCannotCheck}
}

// checkDevice runs the check with a progress bar.
func checkDevice(e *env, dev aio.Device) (*check.Report, error) {
	var bar *progress
	last := -1
	rep, err := check.Run(dev, check.Options{
		Context:   e.ctx,
		ApplyFast: ext4.ApplyFast,
		Progress: func(pass int, done, total uint64) {
			if pass != last {
				if bar != nil {
					bar.end()
				}
				last, bar = pass, newProgress(e, fmt.Sprintf("pass %d", pass), int64(total))
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
func printReport(e *env, o verifyOptions, rep *check.Report, res verifyResult) {
	if rep.Recovered != nil {
		say(e, "%s: journal recovered in memory: %d transactions, %d blocks\n", o.image, rep.Recovered.Transactions, rep.Recovered.Blocks)
	}
	shown := map[check.Code]int{}
	for _, p := range res.Problems {
		shown[p.Code]++
		if p.Severity == check.Note && !o.verbose {
			continue
		}
		say(e, "%s: %s\n", p.Code, p.Message)
	}
	for code, n := range rep.Counts {
		if more := n - shown[code]; more > 0 {
			say(e, "%s: %d more\n", code, more)
		}
	}
	if rep.Fatal != nil {
		say(e, "%s: cannot be checked: %v\n", o.image, rep.Fatal)
		return
	}
	if rep.GivesUp && o.likeE2fsck {
		say(e, "%s: e2fsck -fn gives up here\n", o.image)
	}
	verdict := "problems found"
	if res.Clean {
		verdict = "clean"
	}
	say(e, "%s: %s, %d files, %d directories, %d of %d blocks used\n", o.image, verdict, rep.Files, rep.Directories, rep.BlocksUsed, rep.Blocks)
	if o.verbose {
		say(e, "%.2f s\n", res.Seconds)
	}
}
