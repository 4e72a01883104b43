package mkfs

import (
	"errors"
	"strings"
	"testing"

	"ext4img/ext4/layout"
)

func TestParseFeatures(t *testing.T) {
	for list, want := range map[string]string{
		"":                          "has_journal,ext_attr,resize_inode,dir_index filetype,extent,64bit,flex_bg sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
		"none":                      "  ",
		"none,extents,filetypes":    " filetype,extent ",
		"none,^extent":              "  ",
		"none,quota quota ^quota":   "  ",
		"none,resize_inode,meta_bg": " meta_bg ",
		"none,uninit_bg":            "  uninit_bg",
	} {
		f, err := ParseFeatures(ext4Features, list)
		got := strings.Join([]string{f.Compat.String(), f.Incompat.String(), f.ROCompat.String()}, " ")
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
	}
	if _, err := ParseFeatures(ext4Features, "has_journal,bogus"); err == nil || !strings.Contains(err.Error(), `"bogus"`) {
		t.Errorf("bogus: %v", err)
	}
	if _, err := ParseFeatures(ext4Features, "needs_recovery"); !errors.Is(err, layout.ErrUnsupported) {
		t.Errorf("needs_recovery: %v", err)
	}
	if _, err := ParseFeatures(ext4Features, "^compression"); err != nil {
		t.Errorf("^compression: %v", err)
	}
}
