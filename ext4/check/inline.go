package check

import (
	"ext4img/ext4/layout"
)

// inlineTail returns the part of an inode's inline data that is not in i_block: the value of the attribute
// system.data. It returns an error if there is no such attribute or it cannot be read.
func (w *worker) inlineTail(ino layout.Ino, rec []byte) ([]byte, error) {
	return w.xattrValue(ino, rec, "system.data")
}

// inlineDirBlocks puts the two parts of an inline directory on the list of directory blocks.
func (k *inodeCheck) inlineDirBlocks() {
	if k.mode != layout.ModeDir {
		return
	}
	k.w.addDirBlock(dirBlock{ino: k.ino, inline: true})
	if tail, err := k.w.inlineTail(k.ino, k.rec); err == nil && len(tail) > 0 {
		k.w.addDirBlock(dirBlock{ino: k.ino, lblk: 1, inline: true})
	}
}
