package mkfs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/testimages/judge"
)

// TestTooSmall: whatever the size of a tiny device, with all sizes of blocks and numbers of inodes, either there is a file
// system that e2fsck calls clean, or a refusal that names the size and the smallest one that will do. That one does, and
// a block less does not.
func TestTooSmall(t *testing.T) {
	judge.Need(t, "e2fsck")
	image := filepath.Join(t.TempDir(), "image")
	clean := func(size int64, o Options) error {
		o.Zeroed = true
		dev := simdev.New(size)
		if err := Make(dev, pinned(o)); err != nil {
			return err
		}
		if err := dev.Save(image); err != nil {
			t.Fatal(err)
		}
		if out, err := judge.Command(t, "e2fsck", "-fn", image).CombinedOutput(); err != nil {
			t.Errorf("%d bytes, %+v: e2fsck: %v\n%s", size, o, err, out)
		}
		return nil
	}
	made, refused, known := 0, 0, map[string]bool{}
	for _, bs := range []int{0, 1024, 2048, 4096, 65536} {
		for _, o := range []Options{{}, {Inodes: 1}, {Inodes: 12}, {Inodes: 100}, {Inodes: 2000}, {Inodes: 40000}, {BytesPerInode: 1024},
			{BytesPerInode: 65536}, {InodeSize: 1024}, {Type: "ext2"}, {Features: "bigalloc"}, {Features: "^resize_inode,^64bit"}} {
			o.BlockSize = bs
			for _, size := range []int64{1, 2, 3, 4, 8, 16, 32, 48, 52, 56, 60, 64, 72, 80, 100, 128, 192, 200, 256} {
				size <<= 10
				err := clean(size, o)
				var small *TooSmallError
				switch {
				case err == nil:
					made++
					continue
				case !errors.As(err, &small) || small.Need == 0 || !strings.Contains(err.Error(), fmt.Sprintf("at least %d bytes", small.Need*uint64(small.BlockSize))):
					t.Errorf("%d bytes, %+v: %v", size, o, err)
					continue
				}
				refused++
				if o.Bytes = 0; known[fmt.Sprintf("%+v %d", o, small.Need)] {
					continue
				}
				known[fmt.Sprintf("%+v %d", o, small.Need)] = true
				o := o
				o.BlockSize = small.BlockSize
				need := int64(small.Need) * int64(small.BlockSize)
				for _, c := range []struct {
					size uint64
					fits bool
				}{{small.Need, true}, {small.Need + 1, true}, {small.Need - 1, false}} {
					o.Blocks = c.size
					if err := clean(need+1<<20, o); (err == nil) != c.fits || err != nil && !errors.As(err, &small) {
						t.Errorf("%d blocks, %+v, of a need of %d: %v", c.size, o, need/int64(o.BlockSize), err)
					}
				}
			}
		}
	}
	t.Logf("%d made, %d refused, %d smallest sizes", made, refused, len(known))
}
