package testimages

import (
	"bytes"
	"os"
	"testing"

	"ext4img/testimages/judge"
)

func TestEveryImageIsIndexedAndWhole(t *testing.T) {
	all := All(t)
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(all)+1 {
		t.Errorf("%d files embedded, want %d images and the index: run scripts/dev images", len(entries), len(all))
	}
	for _, image := range all {
		onDisk, err := os.ReadFile(Path(t, image.Name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(onDisk, Bytes(t, image.Name)) {
			t.Errorf("%s: the sparse copy differs", image.Name)
		}
	}
}

// If e2fsck found errors in an image, every golden test of it would be worthless.
func TestImagesAreClean(t *testing.T) {
	judge.Need(t, "e2fsck")
	for _, image := range All(t) {
		switch image.Name {
		case "disk-mbr", "disk-gpt", "dirty":
			continue // it has a partition table, or a log to recover
		}
		if out, err := judge.Command(t, "e2fsck", "-fn", Path(t, image.Name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", image.Name, err, out)
		}
	}
}
