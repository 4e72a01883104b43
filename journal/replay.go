package journal

import (
	"cmp"
	"errors"
	"slices"

	"ext4img/aio"
	"ext4img/aio/block"
)

// replayBytes bounds how much of the log is in memory at once.
const replayBytes = 4 << 20

// A place is the copy of a home block in the log.
type place struct {
	block  uint64 // home
	log    uint32
	escape bool
}

// replay writes the newest copy of each block home. It reads the log from its beginning in batches, and writes each
// batch in the order of its home blocks. It returns when everything is durable.
func replay(dev aio.Device, log *logDevice, latest map[uint64]copyInLog) (int, error) {
	if len(latest) == 0 {
		return 0, nil
	}
	places := make([]place, 0, len(latest))
	for block, c := range latest {
		places = append(places, place{block, c.log, c.escape})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.log, b.log) })
	most := max(1, replayBytes/log.blockSize)
	in := block.Aligned(min(most, len(places))*log.blockSize, max(log.blockSize, log.dev.Align()))
	w, err := newHomeWriter(dev, log.blockSize, len(places))
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(places, most) {
		if err := replayBatch(log, w, batch, in); err != nil {
			return 0, errors.Join(err, w.close())
		}
	}
	if err := w.close(); err != nil {
		return 0, err
	}
	if err := dev.Flush(); err != nil {
		return 0, err
	}
	return len(places), nil
}

func replayBatch(log *logDevice, w *homeWriter, batch []place, in []byte) error {
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
	for _, k := range order {
		p := in[k*bs : (k+1)*bs]
		if batch[k].escape {
			putBE32(p, magic)
		}
		if err := w.add(batch[k].block, p); err != nil {
			return err
		}
	}
	return nil
}
