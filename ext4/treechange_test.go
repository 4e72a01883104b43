package ext4

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestChangesStayInside removes, and changes, trees with names that lead out of them, as only a damaged file system has
// them. What is elsewhere stays as it is, and each such name is told.
func TestChangesStayInside(t *testing.T) {
	for name, script := range map[string][]string{
		"root":              {"ln / /d/out"},
		"sibling":           {"ln /other /d/out"},
		"below a sibling":   {"ln /other/sub /d/out"},
		"above":             {"mkdir /d/e", "ln /d /d/e/out"},
		"twice":             {"ln /other /d/out", "ln / /d/out2"},
		"dot-dot is a name": {"mkdir /d/e", "ln / /d/e/out", "unlink /d/e/.."},
		"no dot-dot":        {"mkdir /d/e", "unlink /d/e/.."},
	} {
		t.Run(name, func(t *testing.T) {
			img := newImage(t, "8M", "-t", "ext4", "-O", "^metadata_csum,^dir_index")
			fs, dev := openImage(t, img, Options{})
			for _, dir := range []string{"/d", "/d/sub", "/other", "/other/sub", "/third"} {
				must(t, fs.Mkdir(dir, Attr{Perm: 0o755}))
			}
			files := []string{"/f", "/other/f", "/other/sub/f", "/third/f"}
			for _, p := range append([]string{"/d/f", "/d/sub/f"}, files...) {
				f, err := fs.Create(p, Attr{Perm: 0o644})
				must(t, err)
				_, err = f.Write([]byte(p))
				must(t, err)
				must(t, f.Close())
			}
			closeImage(t, fs, dev)
			cmd := judge.Command(t, "debugfs", "-w", "-f", "-", img)
			cmd.Stdin = strings.NewReader(strings.Join(script, "\n") + "\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("debugfs: %v\n%s", err, out)
			}
			fs, dev = openImage(t, img, Options{})
			var told []string
			bad := func(path string, err error) error {
				told = append(told, fmt.Sprintf("%s: %v", path, err))
				return nil
			}
			top, err := fs.Find("/d", false)
			must(t, err)
			w := Walk{Changing: true, Visit: func(v *Visit) error { return v.Inode.Chmod(0o700) },
				Bad: func(v *Visit, err error) error { return bad(v.Path(), err) }}
			must(t, w.Run(context.Background(), top, "/d"))
			if len(told) == 0 {
				t.Error("chmod: nothing told")
			}
			told = nil
			must(t, fs.RemoveTree(context.Background(), "/d", bad))
			if len(told) == 0 {
				t.Error("remove: nothing told")
			}
			for _, p := range files {
				info, err := fs.Stat(p)
				if err != nil || info.Mode().Perm() != 0o644 {
					t.Errorf("%s: %v, %v", p, info, err)
					continue
				}
				if text, err := fs.ReadFile(strings.TrimPrefix(p, "/")); err != nil || string(text) != p {
					t.Errorf("%s: %q, %v", p, text, err)
				}
			}
			for _, p := range []string{"/d/f", "/d/sub/f"} {
				if _, err := fs.Stat(p); !isNotExist(err) {
					t.Errorf("%s: %v", p, err)
				}
			}
			closeImage(t, fs, dev)
		})
	}
}
