package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ext4img/aio"
	"ext4img/ext4/mkfs"
)

// A target is what the file system goes to.
type target struct {
	path  string
	bytes int64 // of the file system; 0: all there is
	part  selection
	force bool
	ask   func(question string) bool // nil: there is nobody to ask
}

// targetOf is what the options say.
func targetOf(e *env, o *mkfsOptions) target {
	t := target{path: o.image, bytes: int64(o.Bytes), part: selected(e, o.image), force: o.force}
	if isTerminal(e.in) && isTerminal(messages(e)) {
		t.ask = func(question string) bool { return confirmed(e.in, messages(e), question) }
	}
	return t
}

// confirmed asks a question on a terminal. Anything but y and yes is a no.
func confirmed(in io.Reader, out io.Writer, question string) bool {
	printText(out, "%s: %s [y/N] ", name, question)
	var answer []byte
	for p := make([]byte, 1); ; {
		n, err := in.Read(p)
		if n == 0 && err != nil || n == 1 && p[0] == '\n' {
			break
		}
		if n == 1 && len(answer) < 80 {
			answer = append(answer, p[0])
		}
	}
	switch strings.ToLower(strings.TrimSpace(string(answer))) {
	case "y", "yes":
		return true
	}
	return false
}

// may says whether what was found may be overwritten; "" is nothing.
func (t target) may(found string) error {
	switch {
	case found == "" || t.force:
		return nil
	case t.ask == nil:
		return fmt.Errorf("holds %s: --force overwrites it", found)
	case t.ask(fmt.Sprintf("%s holds %s. Overwrite it?", t.path, found)):
		return nil
	}
	return fmt.Errorf("holds %s: left as it is", found)
}

// prepareTarget opens what the file system goes to: a file is made empty and given its size, once it is sure that nobody uses
// it and nothing is lost; a device or partition is taken as it is.
func prepareTarget(e *env, o *mkfsOptions) (aio.Device, error) {
	t := targetOf(e, o)
	info, err := os.Stat(t.path)
	exists := err == nil
	if !exists && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if t.part.number != 0 || exists && !info.Mode().IsRegular() {
		return prepareDevice(t)
	}
	if t.bytes == 0 {
		if !exists {
			return nil, e.usagef("SIZE must be given for a file that does not exist")
		}
		t.bytes = info.Size()
	}
	if err := mkfs.Check(t.bytes, o.Options); err != nil {
		return nil, err
	}
	o.Zeroed = true
	if exists {
		err = emptyFile(t)
	} else {
		err = newFile(t)
	}
	if err != nil {
		return nil, err
	}
	return aio.Open(t.path, aio.Options{Write: true})
}

// newFile makes a file of holes.
func newFile(t target) error {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(t.bytes), f.Close())
}

// emptyFile makes a file, which it keeps locked meanwhile, one of holes, if what is in it may be overwritten.
func emptyFile(t target) error {
	dev, err := aio.Open(t.path, aio.Options{Write: true})
	if err != nil {
		return err
	}
	if err := checkContent(t, dev); err != nil {
		return errors.Join(err, dev.Close())
	}
	return errors.Join(os.Truncate(t.path, 0), os.Truncate(t.path, t.bytes), dev.Close())
}

// checkContent refuses a file that holds something, unless it may be overwritten.
func checkContent(t target, dev aio.Device) error {
	if t.force {
		return nil
	}
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	found, err := fileContent(dev, f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return t.may(found)
}

// prepareDevice opens a block device or partition. What is known on it is overwritten only where that may be.
func prepareDevice(t target) (aio.Device, error) {
	whole, err := aio.Open(t.path, aio.Options{Write: true})
	if err != nil {
		return nil, err
	}
	dev := whole
	if t.part.number != 0 {
		if dev, err = choosePartition(whole, t.part); err != nil {
			return nil, errors.Join(err, whole.Close())
		}
	}
	if t.bytes > dev.Size() {
		return nil, errors.Join(fmt.Errorf("size %d: the device has %d bytes", t.bytes, dev.Size()), dev.Close())
	}
	found := ""
	if !t.force {
		found, err = recognised(dev)
	}
	if err == nil {
		err = t.may(found)
	}
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	if t.bytes > 0 && t.bytes < dev.Size() {
		return aio.Section(dev, 0, t.bytes)
	}
	return dev, nil
}
