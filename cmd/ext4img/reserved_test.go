package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestReservedFor shows who may use the reserved blocks: numbers of 16 bits as tune2fs sets them, and their upper halves, which
// older programs do not know.
func TestReservedFor(t *testing.T) {
	judge.Need(t, "tune2fs")
	img := newImage(t, "16M", "-O", "^metadata_csum")
	judge.Run(t, "tune2fs", "-u", "65535", "-g", "4321", img)
	for _, hi := range [][2]uint16{{0, 0}, {1, 0}, {0, 0xFFFF}, {0x1234, 0x8001}} {
		f, err := os.OpenFile(img, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{byte(hi[0]), byte(hi[0] >> 8), byte(hi[1]), byte(hi[1] >> 8)}, 1024+0x284); err != nil {
			t.Fatal(err)
		}
		f.Close()
		fsck(t, img)
		uid, gid := uint32(hi[0])<<16|65535, uint32(hi[1])<<16|4321
		if out := ok(t, "info", img); !strings.Contains(out, fmt.Sprintf("user %d, group %d\n", uid, gid)) {
			t.Errorf("%v: %s", hi, out)
		}
		var i imageInfo
		if err := json.Unmarshal([]byte(ok(t, "info --json", img)), &i); err != nil || i.ReservedUID != uid || i.ReservedGID != gid {
			t.Errorf("%v: %d, %d, %v", hi, i.ReservedUID, i.ReservedGID, err)
		}
		out := ok(t, "dump super", img)
		for _, field := range []string{"s_def_resuid_hi", "s_def_resgid_hi", "s_first_error_time_hi"} {
			if !strings.Contains(out, field) {
				t.Errorf("dump super does not show %s", field)
			}
		}
		ok(t, "mkdir", img, fmt.Sprintf("/d%d", hi[0]+hi[1]))
		if out := ok(t, "info", img); !strings.Contains(out, fmt.Sprintf("user %d, group %d\n", uid, gid)) {
			t.Errorf("%v: after a change: %s", hi, out)
		}
	}
}
