package xattr

// cacheSize is the number of hashes that a cache remembers.
const cacheSize = 4096

// A cache remembers where content with a hash was seen. It is a hint: callers compare the content itself. The zero
// value is empty. When it is full, it is emptied.
type cache[T comparable] struct{ at map[uint32][]T }

func (c *cache[T]) add(hash uint32, v T) {
	if hash == 0 {
		return
	}
	for _, w := range c.at[hash] {
		if w == v {
			return
		}
	}
	if c.at == nil || len(c.at) >= cacheSize {
		c.at = make(map[uint32][]T)
	}
	c.at[hash] = append(c.at[hash], v)
}

func (c *cache[T]) remove(hash uint32, v T) {
	list := c.at[hash]
	for i, w := range list {
		if w == v {
			list[i] = list[len(list)-1]
			c.at[hash] = list[:len(list)-1]
			break
		}
	}
	if len(c.at[hash]) == 0 {
		delete(c.at, hash)
	}
}
