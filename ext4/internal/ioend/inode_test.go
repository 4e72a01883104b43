package ioend

import (
	"errors"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestMerge: ranges are sorted, and joined if they touch or overlap; failed I/O is left out.
func TestMerge(t *testing.T) {
	var f flush
	for _, r := range [][3]int64{{8, 4, 0}, {0, 4, 0}, {20, 4, 1}, {4, 4, 0}, {30, 10, 0}, {32, 2, 0}, {41, 1, 0}} {
		io := &IOEnd{Off: r[0], Len: r[1], live: true}
		if r[2] != 0 {
			io.err = errIO
		}
		f.batch = append(f.batch, io)
	}
	f.merge()
	want := []Range{{Off: 0, Len: 12}, {Off: 30, Len: 10}, {Off: 41, Len: 1}}
	if !reflect.DeepEqual(f.ranges, want) {
		t.Errorf("got %v, want %v", f.ranges, want)
	}
	var slots []int
	for _, io := range f.batch {
		slots = append(slots, io.slot)
	}
	if want := []int{0, 0, 0, -1, 1, 1, 2}; !reflect.DeepEqual(slots, want) {
		t.Errorf("slots %v, want %v", slots, want)
	}
}

// TestErrors: the writer gets its own error, and the next TakeError the first error of the batch, once. The other
// ranges are converted. A flush returns failed conversions, but not failed I/O.
func TestErrors(t *testing.T) {
	bad := errors.New("no room in the log")
	results := map[int64]error{}
	in := New(func(batch []Range) {
		for i := range batch {
			if batch[i].Off == 100 {
				batch[i].Err = bad
			}
		}
	}, func(io *IOEnd, err error) { results[io.Off] = err })
	write := func(off int64, err error) {
		in.AddCompleteIO(in.Begin(off, 10, true), err)
	}
	write(0, nil)
	write(50, errIO)
	if err := in.FlushUnwrittenIO(); err != nil {
		t.Errorf("flush after failed I/O: %v", err)
	}
	write(100, nil)
	write(200, nil)
	for range 2 {
		if err := in.FlushUnwrittenIO(); err != bad {
			t.Errorf("flush after a failed conversion: %v", err)
		}
	}
	if want := map[int64]error{0: nil, 50: errIO, 100: bad, 200: nil}; !reflect.DeepEqual(results, want) {
		t.Errorf("reported %v, want %v", results, want)
	}
	if first, second := in.TakeError(), in.TakeError(); first != bad || second != nil {
		t.Errorf("TakeError: %v, then %v", first, second)
	}
	if in.Unwritten() != 0 || in.FlushUnwrittenIO() != nil {
		t.Errorf("not quiet at the end")
	}
}

// TestNoStarvation: writers that never pause starve neither a flush nor a truncate, and
// truncates in a row do not starve writers. Run with -race.
func TestNoStarvation(t *testing.T) {
	const rounds = 300
	var (
		running, converted atomic.Int64
		stop               atomic.Bool
		all                sync.WaitGroup
	)
	work := make(chan *IOEnd, 64)
	in := New(func([]Range) {
		if running.Load() != 0 {
			t.Error("conversion while truncate runs")
		}
	}, func(io *IOEnd, err error) {
		converted.Add(1)
		io.Private.(chan error) <- err
	})
	for range 2 {
		go func() {
			for io := range work {
				in.FlushCompletedIO(io)
			}
		}()
	}
	for w := range int64(4) {
		all.Go(func() {
			done := make(chan error, 1)
			for n := int64(0); n < rounds || !stop.Load(); n++ {
				io := in.Begin((n*4+w)<<12, 4096, true)
				io.Private = done
				if running.Load() != 0 {
					t.Error("write begun while truncate runs")
				}
				if in.AddCompleteIO(io, nil) {
					work <- io
				}
				<-done
			}
		})
	}
	var others sync.WaitGroup
	others.Go(func() {
		for range rounds {
			in.FlushUnwrittenIO()
		}
	})
	for range 2 {
		others.Go(func() {
			for range rounds {
				in.Block()
				in.WaitDIO()
				in.FlushUnwrittenIO()
				running.Add(1)
				if in.Unwritten() != 0 {
					t.Error("truncate with conversions pending")
				}
				running.Add(-1)
				in.Unblock()
			}
		})
	}
	others.Go(func() {
		for range rounds {
			in.BeginRead()
			if in.Unwritten() > 0 {
				in.FlushUnwrittenIO()
			}
			in.EndRead()
		}
	})
	others.Wait()
	stop.Store(true)
	all.Wait()
	in.FlushUnwrittenIO()
	close(work)
	t.Logf("%d writes converted around %d truncates, flushes and reads each", converted.Load(), rounds)
}

// TestBlockAdmits: direct I/O that waited passes before the next Block, however soon Block is called again.
func TestBlockAdmits(t *testing.T) {
	in := New(func([]Range) {}, func(*IOEnd, error) {})
	for range 100 {
		in.Block()
		passed := make(chan bool)
		go func() {
			in.BeginRead()
			<-passed
			in.EndRead()
		}()
		for waiting := 0; waiting == 0; runtime.Gosched() {
			in.locked(func() { waiting = in.s.waiting })
		}
		in.Unblock()
		in.Block()
		if in.InFlight() != 1 {
			t.Fatal("blocked again before the one that waited had passed")
		}
		close(passed)
		in.WaitDIO()
		in.Unblock()
	}
}
