package tree

import (
	"bufio"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// lookupName finds the number of a user or a group: in the system inside the image, as far as it is there already, else on
// this host, where GNU tar looks.
func (im *importer) lookupName(user bool, name string) (uint32, bool) {
	list := "passwd"
	if !user {
		list = "group"
	}
	if name == "root" {
		return 0, true
	}
	if im.flush() == nil {
		if f, err := im.fs.OpenFile(path.Join(im.dir, "etc", list), os.O_RDONLY, 0); err == nil {
			defer f.Close()
			if id, ok := findName(f, name); ok {
				return id, true
			}
		}
	}
	f, err := os.Open("/etc/" + list)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	return findName(f, name)
}

// findName looks a name up in passwd(5) or group(5).
func findName(r io.Reader, name string) (uint32, bool) {
	const most = 16 << 20 // bytes
	for s := bufio.NewScanner(io.LimitReader(r, most)); s.Scan(); {
		f := strings.SplitN(s.Text(), ":", 4)
		if len(f) < 3 || f[0] != name {
			continue
		}
		if id, err := strconv.ParseUint(f[2], 10, 32); err == nil && id != 1<<32-1 {
			return uint32(id), true
		}
	}
	return 0, false
}
