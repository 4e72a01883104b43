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

func TestTrace(t *testing.T) {
	open := opened(newFile(t, bigSize), aio.Options{Write: true})
	var events [3]int
	devtest.Run(t, func(t *testing.T) aio.Device {
		return aio.NewTrace(open(t), func(e aio.Event) { events[e.Op]++ })
	})
	if events[aio.Read] == 0 || events[aio.Write] == 0 || events[aio.Flush] == 0 {
		t.Errorf("events: %v", events)
	}
}

// TestTraceEpochs: a trace and a simulated device record the same order of writes and flushes.
func TestTraceEpochs(t *testing.T) {
	sim := simdev.New(devtest.MinSize)
	sim.Record()
	var got []aio.Event
	tr := aio.NewTrace(sim, func(e aio.Event) { got = append(got, e) })
	q, err := tr.Queue(2)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = tr.WriteAt(make([]byte, 512), 0)
	must(err)
	must(q.Submit(&aio.Request{Op: aio.Write, Buf: make([]byte, 512), Off: 4096}))
	must(tr.Flush())
	_, err = q.Reap(1)
	must(err)
	must(tr.Flush())
	must(q.Close())
	want := sim.Trace().Writes
	var writes []aio.Event
	for _, e := range got {
		if e.Op == aio.Write {
			writes = append(writes, e)
		}
	}
	if len(writes) != len(want) {
		t.Fatalf("%d writes, want %d", len(writes), len(want))
	}
	for i, e := range writes {
		if w := want[i]; e.Off != w.Off || e.Epoch != w.Epoch || e.Until != w.Until {
			t.Errorf("write %d: offset %d epoch %d until %d, want %d, %d, %d", i, e.Off, e.Epoch, e.Until, w.Off, w.Epoch, w.Until)
		}
	}
}
