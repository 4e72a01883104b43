package simdev

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"os"
	"sync/atomic"
)

const (
	pageBits = 12
	pageSize = 1 << pageBits
	fanBits  = 6
	fan      = 1 << fanBits
)

// An owner marks the nodes that one Image may change in place. It has a size, so that two owners have two addresses.
type owner struct{ _ byte }

// A node is a page (data) or an inner node (kids) of the radix tree below an Image.
type node struct {
	owner *owner
	kids  []*node
	data  []byte
	sum   atomic.Uint64 // hash of the subtree, 0 while unknown
}

// An Image is the content of a device: sparse, and copied in constant time. Pages never written read as the fill byte.
// Reading shared images from many goroutines is safe; one Image is changed by one goroutine at a time.
type Image struct {
	root   *node
	levels int // inner levels above the pages
	size   int64
	fill   byte
	own    *owner
}

// NewImage makes an image of size bytes, all of them fill.
func NewImage(size int64, fill byte) *Image {
	m := &Image{size: size, fill: fill, own: new(owner)}
	for pages := (size + pageSize - 1) >> pageBits; pages > 1<<(fanBits*m.levels); {
		m.levels++
	}
	return m
}

// Clone returns an independent copy. Both share all pages until one of them changes.
func (m *Image) Clone() *Image {
	m.own = new(owner)
	c := *m
	c.own = new(owner)
	return &c
}

// Size is the image's length in bytes.
func (m *Image) Size() int64 { return m.size }

// page returns the bytes of page i, or nil if it was never written.
func (m *Image) page(i int64) []byte {
	n := m.root
	for l := m.levels - 1; l >= 0 && n != nil; l-- {
		n = n.kids[i>>(fanBits*l)&(fan-1)]
	}
	if n == nil {
		return nil
	}
	return n.data
}

// change returns the bytes of page i to be changed. It first copies the shared nodes on the way to the page.
func (m *Image) change(i int64) []byte {
	at := &m.root
	for l := m.levels - 1; ; l-- {
		n := m.mine(*at, l < 0)
		*at = n
		if l < 0 {
			return n.data
		}
		at = &n.kids[i>>(fanBits*l)&(fan-1)]
	}
}

// mine returns n if this image may change it, or else a copy that it may change.
func (m *Image) mine(n *node, leaf bool) *node {
	if n != nil && n.owner == m.own {
		n.sum.Store(0)
		return n
	}
	c := &node{owner: m.own}
	if leaf {
		c.data = make([]byte, pageSize)
		if n == nil {
			fillBytes(c.data, m.fill)
		} else {
			copy(c.data, n.data)
		}
		return c
	}
	c.kids = make([]*node, fan)
	if n != nil {
		copy(c.kids, n.kids)
	}
	return c
}

// ReadAt implements io.ReaderAt.
func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= m.size {
		return 0, io.EOF
	}
	var err error
	if int64(len(p)) > m.size-off {
		p, err = p[:m.size-off], io.EOF
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		in := int(at & (pageSize - 1))
		part := p[done:min(len(p), done+pageSize-in)]
		if page := m.page(at >> pageBits); page != nil {
			copy(part, page[in:])
		} else {
			fillBytes(part, m.fill)
		}
		done += len(part)
	}
	return len(p), err
}

// write stores p, which lies inside the image, at off. A page that stays all fill remains sparse.
func (m *Image) write(p []byte, off int64) {
	for len(p) > 0 {
		in := int(off & (pageSize - 1))
		n := min(len(p), pageSize-in)
		if i := off >> pageBits; m.page(i) != nil || !allIs(p[:n], m.fill) {
			copy(m.change(i)[in:], p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// Hash identifies the content: images of the same size, fill and content have equal hashes, whatever their history.
// The cost depends only on the changes since the last Hash of this image, or of one that shares pages with it.
func (m *Image) Hash() uint64 {
	if m.root == nil {
		return 0
	}
	return m.sum(m.root, 0, m.levels)
}

func (m *Image) sum(n *node, index int64, level int) uint64 {
	if s := n.sum.Load(); s != 0 {
		return s
	}
	var s uint64
	if level == 0 {
		if !allIs(n.data, m.fill) {
			h := sha256.New()
			var i [8]byte
			binary.LittleEndian.PutUint64(i[:], uint64(index))
			h.Write(i[:])
			h.Write(n.data)
			s = binary.LittleEndian.Uint64(h.Sum(nil))
		}
	} else {
		for k, kid := range n.kids {
			if kid != nil {
				s += m.sum(kid, index<<fanBits|int64(k), level-1)
			}
		}
	}
	n.sum.Store(s)
	return s
}

// Pages calls fn for every page that was ever written, in order, until fn returns an error.
func (m *Image) Pages(fn func(off int64, p []byte) error) error {
	if m.root == nil {
		return nil
	}
	return m.pages(m.root, 0, m.levels, fn)
}

func (m *Image) pages(n *node, index int64, level int, fn func(int64, []byte) error) error {
	if level == 0 {
		off := index << pageBits
		return fn(off, n.data[:min(pageSize, m.size-off)])
	}
	for k, kid := range n.kids {
		if kid == nil {
			continue
		}
		if err := m.pages(kid, index<<fanBits|int64(k), level-1, fn); err != nil {
			return err
		}
	}
	return nil
}

// Save writes the image to a new, sparse file (or over an old one).
func (m *Image) Save(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if m.fill != 0 {
		if _, err := io.Copy(f, io.NewSectionReader(m, 0, m.size)); err != nil {
			return err
		}
		return f.Close()
	}
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	err = m.Pages(func(off int64, p []byte) error {
		if allIs(p, 0) {
			return nil
		}
		_, err := f.WriteAt(p, off)
		return err
	})
	if err != nil {
		return err
	}
	return f.Close()
}

// LoadImage reads a file into an image.
func LoadImage(path string) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := NewImage(fi.Size(), 0)
	p := make([]byte, 1<<20)
	for off := int64(0); off < m.size; off += int64(len(p)) {
		n, err := f.ReadAt(p[:min(int64(len(p)), m.size-off)], off)
		if err != nil && err != io.EOF {
			return nil, err
		}
		m.write(p[:n], off)
	}
	return m, nil
}

func fillBytes(p []byte, b byte) {
	for i := range p {
		p[i] = b
	}
}

// allIs says whether every byte of p is b.
func allIs(p []byte, b byte) bool {
	return len(p) == 0 || p[0] == b && bytes.Equal(p[1:], p[:len(p)-1])
}
