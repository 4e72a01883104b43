package extent

import (
	"fmt"
	"math"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
)

// blockCost is the number of blocks that a change of a map by block numbers may touch: the inode, three indirect
// blocks and the data, each with its allocation.
const blockCost = 1 + layout.IndirectLevels + (layout.IndirectLevels+2)*group.BlockCredits

// listStep is a list on the way to a data block, and the entry at which the way goes on.
type listStep struct {
	list
	at int
}

// listsTo is the way to a logical block. If create is set it makes missing indirect blocks; otherwise the way ends
// above the first one that is missing.
func (f *file) listsTo(l uint64, create bool) ([]listStep, error) {
	if l >= f.m.g.IndirectEnd() {
		return nil, fmt.Errorf("inode %d: logical block %d: a map of block numbers ends at %d: %w", f.ino, l, f.m.g.IndirectEnd(), syscall.EFBIG)
	}
	indexes, ok := f.m.g.IndirectPath(layout.Lblk(l))
	if !ok {
		return nil, fmt.Errorf("inode %d: logical block %d: %w", f.ino, l, syscall.EFBIG)
	}
	here, err := f.top()
	if err != nil {
		return nil, err
	}
	steps := make([]listStep, 0, len(indexes))
	for i, at := range indexes {
		steps = append(steps, listStep{here, at})
		if i == len(indexes)-1 {
			return steps, nil
		}
		if here.Get(at) == 0 {
			if !create {
				return steps, nil
			}
			if err := f.newList(steps); err != nil {
				return nil, err
			}
		}
		if here, err = f.below(steps[i].list, at); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// newList makes the indirect block that is missing at the end of the way.
func (f *file) newList(steps []listStep) error {
	last := &steps[len(steps)-1]
	block, err := f.takeBlock(f.listGoal(last.list, last.at))
	if err != nil {
		return err
	}
	if err := f.reachable(block, 1); err != nil {
		return err
	}
	if _, err := f.h.Create(f.listRef(block)); err != nil {
		return err
	}
	return f.put(last, last.at, block)
}

// reachable checks that the numbers of the blocks fit into 32 bits.
func (f *file) reachable(p layout.Pblk, n uint32) error {
	if uint64(p)+uint64(n) > math.MaxUint32 {
		return fmt.Errorf("inode %d: block %d is out of reach of a map by block numbers: %w", f.ino, p, syscall.ENOSPC)
	}
	return nil
}

// put stores one block number in a list.
func (f *file) put(s *listStep, at int, p layout.Pblk) error {
	var b []byte
	var err error
	if s.block == 0 {
		b, err = f.editIblock()
	} else {
		b, err = f.h.Get(f.listRef(s.block))
	}
	if err != nil {
		return err
	}
	s.BlockList = b
	s.Set(at, p)
	return nil
}

// listGoal is the best place for the block of entry at in a list: after the block of the entry before it.
func (f *file) listGoal(l list, at int) layout.Pblk {
	for i := at - 1; i >= 0; i-- {
		if p := l.Get(i); p != 0 {
			return f.orHome(p + layout.Pblk(at-i))
		}
	}
	if l.block != 0 {
		return f.orHome(l.block + 1)
	}
	return f.m.space.GoalFor(f.ino)
}

// orHome returns p, or the inode's own goal if p is 0.
func (f *file) orHome(p layout.Pblk) layout.Pblk {
	if f.m.g.ContainsBlocks(p, 1) {
		return p
	}
	return f.m.space.GoalFor(f.ino)
}

// allocateBlocks is Allocate for a file mapped by block numbers. It stops at the end of one list.
func (f *file) allocateBlocks(lblk layout.Lblk, n uint32) (layout.Extent, error) {
	e := layout.Extent{Lblk: lblk}
	if err := f.need(blockCost); err != nil {
		return e, err
	}
	steps, err := f.listsTo(uint64(lblk), true)
	if err != nil {
		return e, err
	}
	s := &steps[len(steps)-1]
	if s.Get(s.at) != 0 {
		return e, fmt.Errorf("inode %d: logical block %d is mapped: %w", f.ino, lblk, syscall.EEXIST)
	}
	room := s.at
	for room < s.dataEnd() && room-s.at < int(n) && s.Get(room) == 0 {
		room++
	}
	q := group.Request{Goal: f.listGoal(s.list, s.at), Min: 1, Max: uint32(room - s.at), Root: true}
	if e.Pblk, e.Len, err = f.m.space.Alloc(f.h, q); err != nil {
		return e, fmt.Errorf("inode %d: logical blocks %d+%d: %w", f.ino, lblk, n, err)
	}
	if err := f.reachable(e.Pblk, e.Len); err != nil {
		return e, err
	}
	for i := range int(e.Len) {
		if err := f.put(s, s.at+i, e.Pblk+layout.Pblk(i)); err != nil {
			return e, err
		}
	}
	return e, f.m.inodes.AddBlocks(f.h, f.ino, int64(e.Len))
}

// insertBlocks is Insert for a file mapped by block numbers.
func (f *file) insertBlocks(e layout.Extent) error {
	if e.Unwritten {
		return layout.Unsupportedf("inode %d: mapped by block numbers, which cannot be unwritten", f.ino)
	}
	if err := f.reachable(e.Pblk, e.Len); err != nil {
		return err
	}
	for i := range uint64(e.Len) {
		if err := f.need(blockCost); err != nil {
			return err
		}
		steps, err := f.listsTo(uint64(e.Lblk)+i, true)
		if err != nil {
			return err
		}
		s := &steps[len(steps)-1]
		if s.Get(s.at) != 0 {
			return fmt.Errorf("inode %d: logical block %d is mapped: %w", f.ino, uint64(e.Lblk)+i, syscall.EEXIST)
		}
		if err := f.put(s, s.at, e.Pblk+layout.Pblk(i)); err != nil {
			return err
		}
	}
	return nil
}

// lastMapped is the way to the last mapped block before to. It may lead to an indirect block that maps nothing, if
// another program left one: then the last entry is -1.
func (f *file) lastMapped(to uint64) ([]listStep, error) {
	top, err := f.top()
	if err != nil {
		return nil, err
	}
	left := f.m.g.Blocks
	return f.lastBelow(top, to, &left)
}

func (f *file) lastBelow(l list, to uint64, left *uint64) ([]listStep, error) {
	for i := l.Len() - 1; i >= 0; i-- {
		level, first, _ := f.entry(l, i)
		if first >= to || l.Get(i) == 0 {
			continue
		}
		if level < 0 {
			return []listStep{{l, i}}, nil
		}
		if *left == 0 {
			return nil, layout.Corruptf("inode %d: more indirect blocks than the file system has blocks", f.ino)
		}
		*left--
		below, err := f.below(l, i)
		if err != nil {
			return nil, err
		}
		if below.Empty() {
			return []listStep{{l, i}, {below, -1}}, nil
		}
		steps, err := f.lastBelow(below, to, left)
		if err != nil || steps != nil {
			return append([]listStep{{l, i}}, steps...), err
		}
	}
	return nil, nil
}

// removeLastBlocks removes the last run of blocks in [from, to) that one list holds, and the lists that become empty.
// Like removeLast, it returns the first block removed, or from.
func (f *file) removeLastBlocks(from, to layout.Lblk) (layout.Lblk, error) {
	steps, err := f.lastMapped(uint64(to))
	if err != nil || steps == nil {
		return from, err
	}
	if s := &steps[len(steps)-1]; s.at >= 0 {
		_, last, _ := f.entry(s.list, s.at)
		if last < uint64(from) {
			return from, nil
		}
		if to, err = f.removeRun(s, from, layout.Lblk(last)); err != nil {
			return to, err
		}
	}
	for level := len(steps) - 1; level > 0 && steps[level].Empty(); level-- {
		if err := f.giveBlock(steps[level].block); err != nil {
			return to, err
		}
		if err := f.put(&steps[level-1], steps[level-1].at, 0); err != nil {
			return to, err
		}
	}
	return to, nil
}

// removeRun frees the contiguous blocks of a list that end with entry s.at, which maps last. It frees no block before
// from.
func (f *file) removeRun(s *listStep, from, last layout.Lblk) (layout.Lblk, error) {
	p, n := s.Get(s.at), 1
	for n <= s.at && last-layout.Lblk(n) >= from && last >= layout.Lblk(n) && s.Get(s.at-n) == p-1 {
		p, n = p-1, n+1
	}
	for i := range n {
		if err := f.put(s, s.at-i, 0); err != nil {
			return last, err
		}
	}
	return last - layout.Lblk(n-1), f.giveData(run{p, uint64(n)})
}
