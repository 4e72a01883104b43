package aio_test

import (
	"runtime"
	"testing"

	"ext4img/aio"
	"ext4img/aio/devtest"
	"ext4img/aio/simdev"
)

// engines lists the engines that must work on this system.
func engines() []string {
	if runtime.GOOS == "linux" {
		return []string{aio.EngineIOUring, aio.EngineLibaio, aio.EngineSync}
	}
	return []string{aio.EngineSync}
}

// bigSize lets offsets pass 2^32; the file is sparse. It ends inside a sector.
const bigSize = 5<<30 + 700

// opened makes a device that opens path when a test asks for it.
func opened(path string, o aio.Options) func(*testing.T) aio.Device {
	return func(t *testing.T) aio.Device {
		dev, err := aio.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		return dev
	}
}

func TestFile(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			devtest.Run(t, opened(newFile(t, bigSize), aio.Options{Write: true, Engine: engine}))
		})
		t.Run(engine+" buffered", func(t *testing.T) {
			devtest.Run(t, opened(newFile(t, bigSize), aio.Options{Write: true, Engine: engine, Buffered: true}))
		})
	}
}

func TestSection(t *testing.T) {
	for name, off := range map[string]int64{"aligned": 1 << 20, "at a sector": 63 * 512, "unaligned": 12345} {
		t.Run(name, func(t *testing.T) {
			open := opened(newFile(t, bigSize), aio.Options{Write: true})
			devtest.Run(t, func(t *testing.T) aio.Device { return section(t, section(t, open(t), off-100), 100) })
		})
	}
}

// section is all of dev from off on, without the last 1000 bytes.
func section(t *testing.T, dev aio.Device, off int64) aio.Device {
	t.Helper()
	s, err := aio.Section(dev, off, dev.Size()-off-1000)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOverlay(t *testing.T) {
	open := opened(newFile(t, bigSize), aio.Options{})
	devtest.Run(t, func(t *testing.T) aio.Device { return aio.NewOverlay(open(t)) })
}

// TestOverlayKeepsBase: nothing that is done to an overlay reaches the base.
func TestOverlayKeepsBase(t *testing.T) {
	base := simdev.NewFilled(devtest.MinSize+100, 0x11)
	before := base.Hash()
	devtest.Run(t, func(t *testing.T) aio.Device { return aio.NewOverlay(keepOpen{base}) })
	if base.Hash() != before || base.Epoch() != 0 {
		t.Error("the base has changed")
	}
}

// keepOpen is a device that stays open after Close, so that a test can look at it.
type keepOpen struct{ aio.Device }

func (keepOpen) Close() error { return nil }

func TestSimdev(t *testing.T) {
	devtest.Run(t, func(*testing.T) aio.Device { return simdev.New(bigSize) })
	t.Run("section", func(t *testing.T) {
		devtest.Run(t, func(t *testing.T) aio.Device { return section(t, simdev.New(bigSize), 700) })
	})
}
