package journal

import (
	"fmt"
	"testing"

	"ext4img/aio/simdev"
)

// TestMemoryIsBounded changes far more blocks than may be kept in memory, in logs that would hold all of them. The
// running transaction and the copies for the checkpoint stay within their bounds. With large blocks, a transaction is
// still large enough for the largest handles.
func TestMemoryIsBounded(t *testing.T) {
	for _, bs := range []int{1024, 4096, 65536} {
		t.Run(fmt.Sprint(bs), func(t *testing.T) {
			const perHandle = 128
			blocks := (96 << 20) / bs // changes of 96 MiB
			log := uint32(4 * blocks)
			dev := simdev.New(int64(blocks+int(log)) * int64(bs))
			area := &Area{Blocks: []Run{{Phys: uint64(blocks), Len: log}}, BlockSize: bs}
			format(t, dev, area, 0, 0)
			j, err := Open(Config{Device: dev, BlockSize: bs, Blocks: uint64(blocks) + uint64(log), Log: area, CacheBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if j.most() < minTransaction {
				t.Errorf("a transaction has %d blocks, want at least %d", j.most(), minTransaction)
			}
			dirty, frozen := 0, 0 // the highest values seen, in bytes
			for b := 0; b < blocks; b += perHandle {
				h, err := j.Start(perHandle)
				if err != nil {
					t.Fatal(err)
				}
				for i := b; i < min(b+perHandle, blocks); i++ {
					r := whole(uint64(i))
					r.Len = bs
					p, err := h.Create(r)
					if err != nil {
						t.Fatal(err)
					}
					p[1] = 1
				}
				if _, err := h.Stop(); err != nil {
					t.Fatal(err)
				}
				dirty, frozen = max(dirty, len(j.running.dirty)*bs), max(frozen, len(j.frozen)*bs)
			}
			one := max(maxTransactionBytes, minTransaction*bs)
			if dirty > one || frozen > maxFrozenBytes+one {
				t.Errorf("%d bytes changed in a transaction, %d waiting for a checkpoint", dirty, frozen)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if n := int(j.Stats().Home); n < blocks {
				t.Errorf("%d of %d blocks went home", n, blocks)
			}
		})
	}
}
