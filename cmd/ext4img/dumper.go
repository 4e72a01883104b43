package main

import (
	"errors"
	"fmt"
	"io"

	"ext4img/aio"
	"ext4img/ext4/layout"
)

// dumper prints parts of a device.
type dumper struct {
	e   *env
	dev aio.Device
	sb  layout.Superblock
	geo *layout.Geometry
	n   uint64 // the number given to dump
}

// withDumper opens the device of an image for raw reading and runs fn, where there is a geometry, or none is needed.
func withDumper(e *env, path string, needsGeometry bool, fn func(d *dumper) error) error {
	d := &dumper{e: e}
	var err error
	if d.dev, err = openDevice(e, path, reading); err != nil {
		return opError(e, path, err)
	}
	defer d.dev.Close()
	if d.sb, err = d.readSuper(); err == nil {
		if d.geo, err = layout.NewGeometry(d.sb); err == nil || !needsGeometry {
			err = fn(d)
		}
	}
	return opError(e, path, err)
}

func (d *dumper) readSuper() (layout.Superblock, error) {
	p, err := d.read(layout.SuperOffset, layout.SuperSize)
	if err != nil {
		return nil, err
	}
	return layout.ParseSuperblock(p)
}

func (d *dumper) read(off int64, n int) ([]byte, error) {
	p := make([]byte, n)
	if got, err := d.dev.ReadAt(p, off); got < n {
		if err == io.EOF || err == nil {
			err = errors.New("beyond the end of the device")
		}
		return nil, fmt.Errorf("byte %d: %w", off, err)
	}
	return p, nil
}

// readBlock reads from a block on.
func (d *dumper) readBlock(p layout.Pblk, off, n int) ([]byte, error) {
	if uint64(p) >= d.geo.Blocks {
		return nil, fmt.Errorf("block %d: beyond the end, %d blocks: %w", p, d.geo.Blocks, layout.ErrCorrupt)
	}
	return d.read(int64(p)*int64(d.geo.BlockSize)+int64(off), n)
}

// desc reads a group descriptor.
func (d *dumper) desc(g layout.Group) (layout.Desc, error) {
	if g >= d.geo.Groups {
		return nil, fmt.Errorf("group %d: there are %d", g, d.geo.Groups)
	}
	p, off := d.geo.DescLoc(g)
	b, err := d.readBlock(p, off, d.geo.DescSize)
	return layout.Desc(b), err
}

// readInode reads an inode, and says where it is.
func (d *dumper) readInode(ino layout.Ino) (in layout.Inode, block layout.Pblk, off int, err error) {
	g, idx := d.geo.InodeGroup(ino)
	desc, err := d.desc(g)
	if err != nil {
		return nil, 0, 0, err
	}
	block = desc.InodeTable() + layout.Pblk(idx/d.geo.InodesPerBlock())
	off = int(idx%d.geo.InodesPerBlock()) * d.geo.InodeSize
	p, err := d.readBlock(block, off, d.geo.InodeSize)
	return layout.Inode(p), block, off, err
}
