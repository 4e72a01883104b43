package simdev

import "ext4img/aio"

// An IO describes one I/O to a fault function, which decides whether it fails.
type IO struct {
	Index int // of the device's I/Os, from 0: reads, writes and flushes, in the order they are carried out
	Op    aio.Op
	Off   int64
	Len   int
	Label string
	Epoch int
}

// Torn is the fault of an I/O that transfers its first Bytes bytes and then fails.
type Torn struct {
	Bytes int
	Err   error
}

// Error implements error.
func (t *Torn) Error() string { return t.Err.Error() }

// Unwrap returns the error that the I/O reports.
func (t *Torn) Unwrap() error { return t.Err }

// SetFault makes every I/O for which fault returns an error fail with that error. A write that fails changes nothing,
// unless the error is a *Torn. A Flush that fails makes nothing durable. SetFault(nil) ends it. fault must not call
// the device.
func (d *Device) SetFault(fault func(IO) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// FailAt returns a fault function that lets only the I/O with this index fail.
func FailAt(index int, err error) func(IO) error {
	return func(io IO) error {
		if io.Index == index {
			return err
		}
		return nil
	}
}

// FailFrom returns a fault function that lets the I/O with this index and all later ones fail, like a disk that is
// gone.
func FailFrom(index int, err error) func(IO) error {
	return func(io IO) error {
		if io.Index >= index {
			return err
		}
		return nil
	}
}

// IOs is the number of I/Os so far, which is the Index of the next one.
func (d *Device) IOs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ios
}
