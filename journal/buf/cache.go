package buf

import (
	"container/list"
	"sync"
)

// A Buffer is one cached block. Data is the only truth about the block's present content.
type Buffer struct {
	Block uint64
	Data  []byte

	pieces []piece       // verified objects; guarded by the cache's lock
	pins   int           // guarded by the cache's lock
	lru    *list.Element // nil while pinned
	gone   bool          // no longer in the cache
}

type piece struct {
	off, len int
	typ      Type
}

// A Cache is a bounded set of Buffers. Its methods may be called from any goroutine.
type Cache struct {
	blockSize int
	max       int // clean blocks kept

	mu     sync.Mutex
	blocks map[uint64]*Buffer
	lru    *list.List // unpinned Buffers, the most recently used in front
}

// NewCache makes a cache that keeps at most maxBytes of unpinned blocks.
func NewCache(blockSize, maxBytes int) *Cache {
	return &Cache{
		blockSize: blockSize,
		max:       max(16, maxBytes/blockSize),
		blocks:    make(map[uint64]*Buffer),
		lru:       list.New(),
	}
}

// Lookup returns the cached block, or nil.
func (c *Cache) Lookup(block uint64) *Buffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.use(block)
}

func (c *Cache) use(block uint64) *Buffer {
	b := c.blocks[block]
	if b != nil && b.lru != nil {
		c.lru.MoveToFront(b.lru)
	}
	return b
}

// Find returns the cached block that r lies in, or nil, and whether the object was verified as r.Type.
func (c *Cache) Find(r Ref) (b *Buffer, verified bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b = c.use(r.Block); b == nil {
		return nil, false
	}
	p := b.piece(r)
	return b, p != nil && p.typ == r.Type
}

// piece is what the object r of b was verified as, or nil. It is called with the cache's lock.
func (b *Buffer) piece(r Ref) *piece {
	for i := range b.pieces {
		if p := &b.pieces[i]; p.off == r.Off && p.len == r.Len {
			return p
		}
	}
	return nil
}

// Insert adds a block with the content data, which the cache then owns. If the block is cached already, that Buffer
// is returned and data dropped.
func (c *Cache) Insert(block uint64, data []byte) *Buffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.blocks[block]; b != nil {
		return b
	}
	b := &Buffer{Block: block, Data: data}
	c.blocks[block] = b
	b.lru = c.lru.PushFront(b)
	c.shrink(b)
	return b
}

// shrink drops the least recently used blocks beyond the bound, but never keep.
func (c *Cache) shrink(keep *Buffer) {
	for c.lru.Len() > c.max {
		e := c.lru.Back()
		b := e.Value.(*Buffer)
		if b == keep {
			return
		}
		c.remove(b)
	}
}

func (c *Cache) remove(b *Buffer) {
	if b.lru != nil {
		c.lru.Remove(b.lru)
		b.lru = nil
	}
	if !b.gone {
		delete(c.blocks, b.Block)
		b.gone = true
	}
}

// Pin keeps b in the cache until Unpin is called as many times as Pin. A Buffer that has left the cache while its
// caller held it is put back. The caller makes sure that no other goroutine inserts or changes the block meanwhile.
func (c *Cache) Pin(b *Buffer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.gone {
		b.gone = false
		c.blocks[b.Block] = b
	}
	if b.lru != nil {
		c.lru.Remove(b.lru)
		b.lru = nil
	}
	b.pins++
}

// Unpin undoes one Pin.
func (c *Cache) Unpin(b *Buffer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.pins--
	if b.pins == 0 && !b.gone {
		b.lru = c.lru.PushFront(b)
		c.shrink(b)
	}
}

// Discard takes b out of the cache, pinned or not: its block is no longer metadata. Calls of Unpin may still follow.
func (c *Cache) Discard(b *Buffer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(b)
}

// Reset drops every unpinned block.
func (c *Cache) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.lru.Front(); e != nil; e = c.lru.Front() {
		c.remove(e.Value.(*Buffer))
	}
}

// Len returns the number of cached blocks, pinned ones included.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.blocks)
}

// SetVerified records that the object r of b was verified as r.Type. A block keeps one Type for each place.
func (c *Cache) SetVerified(b *Buffer, r Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := b.piece(r); p != nil {
		p.typ = r.Type
		return
	}
	b.pieces = append(b.pieces, piece{r.Off, r.Len, r.Type})
}

// SetChanged records that the object r of b has new bytes, which are valid for r.Type. Every other object that
// overlaps it now counts as unverified.
func (c *Cache) SetChanged(b *Buffer, r Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := b.pieces[:0]
	for _, p := range b.pieces {
		if p.off+p.len <= r.Off || r.Off+r.Len <= p.off {
			kept = append(kept, p)
		}
	}
	clear(b.pieces[len(kept):])
	b.pieces = append(kept, piece{r.Off, r.Len, r.Type})
}
