package main

import (
	"bytes"
	"fmt"
	"html"
)

// drawSVG draws the maps as bars, one below the other.
func drawSVG(maps []*fileMap) []byte {
	const width, bar, row, left = 1000, 22, 48, 10
	colours := map[string]string{written: "#2e8b57", unwritten: "#e0a030", hole: "#f0f0f0"}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" font-size="12">`+"\n",
		width+2*left, row*len(maps)+30)
	for i, m := range maps {
		y := i*row + 16
		end := uint64(max(m.Blocks, 1))
		if k := len(m.Extents); k > 0 {
			end = max(end, m.Extents[k-1].Logical+m.Extents[k-1].Length)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s: %d blocks, %d extents</text>`+"\n", left, y, html.EscapeString(escape(m.Path)), m.Blocks, m.count())
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left, y+5, width, bar, colours[hole])
		for _, e := range m.Extents {
			x := float64(e.Logical) / float64(end) * width
			w := float64(e.Length) / float64(end) * width
			fmt.Fprintf(&b, `<rect x="%.3f" y="%d" width="%.3f" height="%d" fill="%s"><title>%d+%d at %d %s</title></rect>`+"\n",
				left+x, y+5, w, bar, colours[e.State], e.Logical, e.Length, e.Physical, e.State)
		}
	}
	y := len(maps)*row + 18
	for i, state := range []string{written, unwritten, hole} {
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="12" fill="%s" stroke="#999"/><text x="%d" y="%d">%s</text>`+"\n",
			left+i*120, y-10, colours[state], left+i*120+18, y, state)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
