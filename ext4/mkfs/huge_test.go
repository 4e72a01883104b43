package mkfs

import (
	"os"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/testimages/effort"
)

// The largest sizes: numbers beyond 32 bits, and sizes from which meta block groups are used.
func TestMakeHuge(t *testing.T) {
	for _, s := range []shape{
		{name: "16T", size: 16 * tib},
		{name: "20T", size: 20 * tib},
		{name: "15T", size: 15 * tib},
		{name: "2T of 1k blocks", size: 2 * tib, o: Options{BlockSize: 1024}, args: "-b 1024"},
	} {
		t.Run(s.name, func(t *testing.T) {
			effort.NeedLong(t, "long")
			s.compare(t)
		})
	}
}

// A real file with direct I/O gives the same bytes as memory.
func TestMakeOnAFile(t *testing.T) {
	const size = gib
	path := t.TempDir() + "/fs.img"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	dev, err := aio.Open(path, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	o := pinned(Options{BlockSize: 1024, Zeroed: true})
	if err := Make(dev, o); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	onDisk, err := simdev.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	memory := simdev.New(size)
	if err := Make(memory, o); err != nil {
		t.Fatal(err)
	}
	if onDisk.Hash() != memory.Hash() {
		t.Error("the file and the memory device differ")
	}
	fsck(t, path)
}
