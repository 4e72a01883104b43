package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressDelay is how long a command runs before it shows its progress.
const progressDelay = time.Second

// progress is a bar on standard error, if that is a terminal. One goroutine uses it.
type progress struct {
	to    io.Writer
	label string
	total int64
	done  int64
	start time.Time
	bar   *progressbar.ProgressBar
	off   bool
}

// newProgress counts towards total bytes; -1: unknown.
func newProgress(e *env, label string, total int64) *progress {
	return &progress{to: messages(e), label: label, total: total, start: time.Now(), off: e.quiet || !isTerminal(messages(e))}
}

// add counts n more.
func (p *progress) add(n int64) { p.set(p.done + n) }

// set says how far it is.
func (p *progress) set(done int64) {
	p.done = done
	if p.off {
		return
	}
	if p.bar == nil {
		if time.Since(p.start) < progressDelay {
			return
		}
		p.bar = progressbar.NewOptions64(p.total,
			progressbar.OptionSetWriter(p.to),
			progressbar.OptionSetDescription(escape(p.label)),
			progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionEnableColorCodes(false),
			progressbar.OptionClearOnFinish(),
		)
	}
	_ = p.bar.Set64(done)
}

// clear makes room for a message; the bar comes again with the next progress.
func (p *progress) clear() {
	if p != nil && p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
