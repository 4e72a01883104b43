package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"ext4img/aio"
	"ext4img/ext4/internal/volume"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// replayAgrees recovers the log of an image, and that of a copy with debugfs, and compares all bytes but those that
// tell when and how often an image was checked. The image is not changed.
func replayAgrees(t testing.TB, img string) error {
	ours, theirs := img+".ours", img+".theirs"
	defer os.Remove(ours)
	defer os.Remove(theirs)
	for _, to := range []string{ours, theirs} {
		if out, err := judge.Command(t, "cp", "--sparse=always", img, to).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	// -n: debugfs reads the bitmaps before it recovers the log that holds their newest checksums.
	out, err := judge.Command(t, "debugfs", "-n", "-w", "-R", "jr", theirs).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("while")) {
		return fmt.Errorf("debugfs jr: %v: %s", err, out)
	}
	masked, err := replayAlone(ours)
	if err != nil {
		return err
	}
	a, err1 := os.ReadFile(ours)
	b, err2 := os.ReadFile(theirs)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for _, m := range masked {
		clear(a[m[0] : m[0]+m[1]])
		clear(b[m[0] : m[0]+m[1]])
	}
	for i := range a {
		if a[i] != b[i] {
			return fmt.Errorf("after recovery byte 0x%x is %02x, debugfs jr makes it %02x: %s", i, a[i], b[i], out)
		}
	}
	return nil
}

// replayAlone recovers the log of an image, not its orphans, and returns what may differ from another's recovery:
// times and counts in the superblock and their checksum, sequence and checksum of the journal superblock.
func replayAlone(img string) (masked [][2]int64, err error) {
	dev, err := aio.Open(img, aio.Options{Write: true})
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	if err := volume.Recover(dev, volume.Options{}); err != nil {
		return nil, err
	}
	err = changeSuper(dev, func(s layout.Superblock) { s.SetFeatureIncompat(s.FeatureIncompat() &^ layout.IncompatRecover) })
	if err != nil {
		return nil, err
	}
	area, err := logArea(dev)
	if err != nil {
		return nil, err
	}
	log := int64(area.Blocks[0].Phys) * int64(area.BlockSize)
	for _, m := range [][2]int64{{0x30, 4}, {0x40, 4}, {0x178, 8}, {0x274, 6}, {0x3FC, 4}} {
		masked = append(masked, [2]int64{1024 + m[0], m[1]})
	}
	return append(masked, [2]int64{log + 0x18, 4}, [2]int64{log + 0xFC, 4}), nil
}
