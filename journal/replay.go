package journal

import (
	"cmp"
	"fmt"
	"slices"

	"ext4img/aio"
	"ext4img/journal/buf"
)

// replayBytes is how much of the log is in memory at once.
const replayBytes = 4 << 20

// A place is the copy of a home block in the log.
type place struct {
	block  uint64 // home
	log    uint32
	escape bool
}

// replay writes the newest copy of each block home: the log is read from its beginning in batches, each batch written
// in the order of its home blocks. It returns when all is durable.
func replay(dev aio.Device, log *logDevice, latest map[uint64]copyInLog) (int, error) {
	places := make([]place, 0, len(latest))
	for block, c := range latest {
		places = append(places, place{block, c.log, c.escape})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.log, b.log) })
	most := max(1, replayBytes/log.blockSize)
	in := buf.Aligned(min(most, len(places))*log.blockSize, max(log.blockSize, log.dev.Align()))
	out := buf.Aligned(len(in), max(log.blockSize, dev.Align()))
	for batch := range slices.Chunk(places, most) {
		if err := replayBatch(dev, log, batch, in, out); err != nil {
			return 0, err
		}
	}
	if err := dev.Flush(); err != nil {
		return 0, err
	}
	return len(places), nil
}

func replayBatch(dev aio.Device, log *logDevice, batch []place, in, out []byte) error {
	bs := log.blockSize
	for i := 0; i < len(batch); {
		n := 1
		for i+n < len(batch) && batch[i+n].log == batch[i].log+uint32(n) {
			n++
		}
		if err := log.read(batch[i].log, in[i*bs:(i+n)*bs]); err != nil {
			return err
		}
		i += n
	}
	order := make([]int, len(batch)) // home order → index in batch
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(batch[a].block, batch[b].block) })
	for i, k := range order {
		p := out[i*bs : (i+1)*bs]
		copy(p, in[k*bs:(k+1)*bs])
		if batch[k].escape {
			putBE32(p, magic)
		}
	}
	for i := 0; i < len(order); {
		first, n := batch[order[i]].block, 1
		for i+n < len(order) && batch[order[i+n]].block == first+uint64(n) {
			n++
		}
		if _, err := dev.WriteAt(out[i*bs:(i+n)*bs], int64(first)*int64(bs)); err != nil {
			return fmt.Errorf("block %d: %w", first, err)
		}
		i += n
	}
	return nil
}
