package dir

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

const (
	inlineParent = 4  // bytes: the parent's number at the start of i_block (EXT4_INLINE_DOTDOT_SIZE)
	inlineMin    = 12 // the shortest record
)

// The two parts of an inline directory, as place.lblk.
const (
	partBlock layout.Lblk = 0 // i_block, after the parent's number
	partAttr  layout.Lblk = 1 // the attribute "system.data"
)

// inlineParts reads the records of both parts. The second may be empty.
func (f *file) inlineParts() (parent layout.Ino, parts [2][]byte, err error) {
	in, err := f.d.t.Read(f.r, f.ino)
	if err != nil {
		return 0, parts, err
	}
	block := in.Block()
	parent = layout.InlineParent(block)
	parts[partBlock] = block[inlineParent:]
	parts[partAttr], err = f.d.inline.Inline(f.r, f.ino)
	return parent, parts, err
}

func (f *file) partName(i int) string {
	return fmt.Sprintf("directory %d: inline part %d", f.ino, i)
}

func (f *file) findInline(name string) (place, bool, error) {
	parent, parts, err := f.inlineParts()
	if err != nil {
		return place{}, false, err
	}
	switch name {
	case ".":
		return place{ino: f.ino, ftype: layout.FTDir}, true, nil
	case "..":
		return place{ino: parent, ftype: layout.FTDir, dotdot: true}, true, nil
	}
	for i, p := range parts {
		e, ok, err := f.format().Find(p, name, f.same)
		if err != nil {
			return place{}, false, fmt.Errorf("%s: %w", f.partName(i), err)
		}
		if ok {
			return placeOf(layout.Lblk(i), e), true, nil
		}
	}
	return place{}, false, nil
}

// initInline makes an empty inline directory. done is false if the inode's record has no room for the attribute.
func (f *file) initInline(h *journal.Handle, parent layout.Ino) (done bool, err error) {
	switch err := f.d.inline.SetInline(h, f.ino, nil); {
	case errors.Is(err, syscall.ENOSPC):
		return false, nil
	case err != nil:
		return false, err
	}
	in, err := f.d.t.Edit(h, f.ino)
	if err != nil {
		return false, err
	}
	block := in.Block()
	clear(block)
	f.format().Clear(block[inlineParent:])
	layout.SetInlineParent(block, parent)
	in.SetFlags(in.Flags()&^layout.FlagExtents | layout.FlagInlineData)
	in.SetSize(uint64(len(block)))
	return true, nil
}

func (f *file) setInlineParent(h *journal.Handle, parent layout.Ino) error {
	in, err := f.d.t.Edit(h, f.ino)
	if err != nil {
		return err
	}
	layout.SetInlineParent(in.Block(), parent)
	return nil
}

// editInline changes the records of one part.
func (f *file) editInline(h *journal.Handle, part layout.Lblk, fn func(p []byte) error) error {
	if part == partBlock {
		in, err := f.d.t.Edit(h, f.ino)
		if err != nil {
			return err
		}
		return fn(in.Block()[inlineParent:])
	}
	p, err := f.d.inline.Inline(h, f.ino)
	if err != nil {
		return err
	}
	p = slices.Clone(p)
	if err := fn(p); err != nil {
		return err
	}
	return f.d.inline.SetInline(h, f.ino, p)
}

// addInline adds to an inline directory. If there is no room and none can be made, it turns the directory into one
// with blocks, and done is false.
func (f *file) addInline(h *journal.Handle, n entry) (done bool, err error) {
	if _, taken, err := f.findInline(n.name); err != nil || taken {
		if err == nil {
			err = f.exists(n.name)
		}
		return false, err
	}
	_, parts, err := f.inlineParts()
	if err != nil {
		return false, err
	}
	need := f.format().RecLen(len(n.name))
	for i, p := range parts {
		if f.format().Fits(p, need) {
			return true, f.insertInto(h, layout.Lblk(i), n)
		}
	}
	grown, err := f.growInline(h, parts[partAttr], need)
	if err != nil {
		return false, err
	}
	if grown {
		return true, f.insertInto(h, partAttr, n)
	}
	return false, f.moveOut(h)
}

// growInline makes the second part as long as the inode's record allows. It returns false if need bytes do not fit
// even then.
func (f *file) growInline(h *journal.Handle, old []byte, need int) (bool, error) {
	room, err := f.d.inline.InlineRoom(h, f.ino)
	if err != nil {
		return false, err
	}
	if room < len(old)+need || room < inlineMin {
		return false, nil
	}
	list, err := f.collect(old)
	if err != nil {
		return false, err
	}
	p := make([]byte, room)
	f.format().Pack(p, list)
	if err := f.d.inline.SetInline(h, f.ino, p); err != nil {
		return false, err
	}
	return true, f.d.t.SetSize(h, f.ino, uint64(layout.InodeBlockSize+room))
}

// moveOut turns an inline directory into a linear one with one block.
func (f *file) moveOut(h *journal.Handle) error {
	parent, parts, err := f.inlineParts()
	if err != nil {
		return err
	}
	list := []layout.Dirent{{Ino: f.ino, Type: layout.FTDir, Name: []byte(".")}, {Ino: parent, Type: layout.FTDir, Name: []byte("..")}}
	for i, p := range parts {
		entries, err := f.collect(p)
		if err != nil {
			return fmt.Errorf("%s: %w", f.partName(i), err)
		}
		list = append(list, entries...)
	}
	if err := f.d.inline.DropInline(h, f.ino); err != nil {
		return err
	}
	in, err := f.d.t.Edit(h, f.ino)
	if err != nil {
		return err
	}
	in.SetFlags(f.flags &^ layout.FlagInlineData)
	f.d.t.InitMap(in)
	f.flags = in.Flags()
	p, err := f.firstBlock(h)
	if err != nil {
		return err
	}
	f.format().Pack(p, list)
	return nil
}
