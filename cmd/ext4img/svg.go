package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
)

// The sizes of the drawing, in pixels.
const (
	svgWidth = 1000
	svgBar   = 22
	svgRow   = 48
	svgLeft  = 10
)

// svgColours are those of the states.
var svgColours = map[string]string{written: "#2e8b57", unwritten: "#e0a030", hole: "#f0f0f0"}

// svgDrawing draws maps as bars, one below the other. The bars wait in a temporary file: how high the drawing is stands
// before them.
type svgDrawing struct {
	path string
	bars *os.File
	w    *bufio.Writer
	n    int
}

// newSVG begins a drawing that finish puts into the file at path.
func newSVG(path string) (*svgDrawing, error) {
	f, err := os.CreateTemp("", "ext4img-*.svg")
	if err != nil {
		return nil, err
	}
	return &svgDrawing{path: path, bars: f, w: bufio.NewWriter(f)}, nil
}

// add draws one map.
func (d *svgDrawing) add(m *fileMap, holes bool) error {
	y := d.n*svgRow + 16
	d.n++
	end := float64(max(uint64(max(m.Blocks, 1)), m.end))
	fmt.Fprintf(d.w, `<text x="%d" y="%d">%s: %d blocks, %d extents</text>`+"\n", svgLeft, y, html.EscapeString(escape(m.Path)), m.Blocks, m.rows)
	fmt.Fprintf(d.w, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", svgLeft, y+5, svgWidth, svgBar, svgColours[hole])
	return m.each(holes, func(e extentRow, _ bool) error {
		x := float64(e.Logical) / end * svgWidth
		w := float64(e.Length) / end * svgWidth
		fmt.Fprintf(d.w, `<rect x="%.3f" y="%d" width="%.3f" height="%d" fill="%s"><title>%d+%d at %d %s</title></rect>`+"\n",
			svgLeft+x, y+5, w, svgBar, svgColours[e.State], e.Logical, e.Length, e.Physical, e.State)
		return nil
	})
}

// finish writes the drawing.
func (d *svgDrawing) finish() error {
	y := d.n*svgRow + 18
	for i, state := range []string{written, unwritten, hole} {
		fmt.Fprintf(d.w, `<rect x="%d" y="%d" width="12" height="12" fill="%s" stroke="#999"/><text x="%d" y="%d">%s</text>`+"\n",
			svgLeft+i*120, y-10, svgColours[state], svgLeft+i*120+18, y, state)
	}
	d.w.WriteString("</svg>\n")
	err := d.w.Flush()
	if err == nil {
		_, err = d.bars.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	out, err := os.Create(d.path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" font-size="12">`+"\n",
		svgWidth+2*svgLeft, svgRow*d.n+30)
	if err == nil {
		_, err = io.Copy(out, d.bars)
	}
	return cmp.Or(err, out.Close())
}

// discard removes the temporary file.
func (d *svgDrawing) discard() error { return errors.Join(d.bars.Close(), os.Remove(d.bars.Name())) }
