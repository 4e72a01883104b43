package check

import (
	"ext4img/ext4/layout"
)

// pass3 checks that every directory is connected to the root, and that its ".." names the directory with its entry.
func (c *checker) pass3() error {
	c.meter.begin(3, uint64(len(c.dirList.recs)))
	root := uint64(layout.RootIno)
	if !c.inodes.test(root) {
		c.rep.add(codeNoRoot, inodeAt(layout.RootIno))
		return errStop
	}
	if !c.dirs.test(root) {
		c.rep.add(codeRootNotDir, inodeAt(layout.RootIno))
		return errStop
	}
	done := newBitmap(1, uint64(c.geo.inodes), c.geo.ipg)
	done.set(root)
	for i := range c.dirList.recs {
		d := &c.dirList.recs[i]
		if c.dirs.test(uint64(d.ino)) && !c.orphans[d.ino] {
			c.connect(d, done)
		}
	}
	c.meter.step(uint64(len(c.dirList.recs)))
	return nil
}

// connect goes up from a directory to one that is known to be connected, and marks all directories on the way as
// done. If the way ends earlier, or returns to a directory on it, the directory is not connected.
func (c *checker) connect(d *dirRecord, done *bitmap) {
	for at, seen := d, map[layout.Ino]bool(nil); !done.set(uint64(at.ino)); {
		parent := c.dirList.get(at.parent)
		if parent == nil || seen[parent.ino] {
			c.rep.add(codeDirUnconnected, inodeAt(at.ino))
			break
		}
		if seen == nil {
			seen = map[layout.Ino]bool{}
		}
		seen[at.ino] = true
		if seen[parent.ino] {
			c.rep.add(codeDirUnconnected, inodeAt(at.ino))
			break
		}
		at = parent
	}
	if d.dotdot != d.parent {
		c.rep.add(codeDotDotWrong, inodeAt(d.ino).values(d.dotdot, d.parent))
	}
}
