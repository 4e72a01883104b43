package ext4

import (
	"fmt"
	"strings"
	"syscall"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// pathParts splits a path beneath a Maker's directory at its slashes.
func pathParts(name string) ([]string, error) {
	var parts []string
	for _, part := range names.Split(name) {
		switch part {
		case ".":
			continue
		case "..":
			return nil, fmt.Errorf("a name with '..': %w", ErrOutside)
		}
		if err := names.CheckName(part); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// dir finds the directory to which parts lead; if make is set it makes missing directories. It begins where the last
// call ended, as far as the way is the same.
func (s *making) dir(parts []string, make bool) (layout.Ino, error) {
	k := 0
	for k < len(parts) && k < len(s.names) && parts[k] == s.names[k] {
		k++
	}
	s.names, s.inos = s.names[:k], s.inos[:k+1]
	for i := k; i < len(parts); i++ {
		ino, rec, err := s.child(s.inos[i], parts[i], make)
		if err != nil {
			return 0, err
		}
		if rec.IsSymlink() {
			return s.through(parts[i:], make)
		}
		if !rec.IsDir() {
			return 0, fmt.Errorf("%q: %w", parts[i], syscall.ENOTDIR)
		}
		s.names, s.inos = append(s.names, parts[i]), append(s.inos, ino)
	}
	return s.inos[len(parts)], nil
}

// forget forgets the way to a directory that was removed.
func (s *making) forget() { s.names, s.inos = nil, s.inos[:1] }

// child looks up a name in a directory.
func (s *making) child(dir layout.Ino, name string, make bool) (layout.Ino, layout.Inode, error) {
	f := s.m.fs
	ino, _, err := f.vol.Dirs.Lookup(s.h, dir, name)
	if isNotExist(err) && make {
		ino, err = s.missing(dir, name)
	}
	if err != nil {
		return 0, nil, err
	}
	rec, err := f.vol.Inodes.Read(s.h, ino)
	return ino, rec, err
}

// through continues after the last directory of the way, where the next part is a symbolic link.
func (s *making) through(parts []string, make bool) (layout.Ino, error) {
	stack := append([]layout.Ino(nil), s.inos...)
	links := 0
	own := len(parts) // that many parts at the end are of the path; the parts before them are of links
	for todo := parts; len(todo) > 0; {
		name := todo[0]
		top := stack[len(stack)-1]
		own = min(own, len(todo))
		mine := len(todo) <= own
		todo = todo[1:]
		if name == ".." {
			if top == layout.RootIno {
				continue
			}
			if len(stack) == 1 {
				return 0, ErrOutside
			}
			stack = stack[:len(stack)-1]
			continue
		}
		ino, rec, err := s.child(top, name, make && mine)
		if err != nil {
			return 0, err
		}
		switch {
		case rec.IsDir():
			stack = append(stack, ino)
		case !rec.IsSymlink():
			return 0, fmt.Errorf("%q: %w", name, syscall.ENOTDIR)
		default:
			if links++; links > names.MaxLinks {
				return 0, fmt.Errorf("%q: %w", name, syscall.ELOOP)
			}
			target, err := s.target(name, ino, rec)
			if err != nil {
				return 0, err
			}
			if strings.HasPrefix(target, "/") {
				stack = stack[:1]
			}
			own = min(own, len(todo))
			todo = append(linkParts(target), todo...)
		}
	}
	return stack[len(stack)-1], nil
}

// target is the text of a symbolic link that may be followed.
func (s *making) target(name string, ino layout.Ino, rec layout.Inode) (string, error) {
	if s.knows(ino).astray {
		return "", fmt.Errorf("symbolic link %q: %w", name, ErrOutside)
	}
	target, err := s.m.fs.names.Readlink(s.h, ino)
	if err == nil && strings.HasPrefix(target, "/") && s.m.base.ino != layout.RootIno {
		err = fmt.Errorf("symbolic link %q: %w", name, ErrOutside)
	}
	return target, err
}

// linkParts splits the text of a link at its slashes.
func linkParts(target string) []string {
	var parts []string
	for _, part := range names.Split(target) {
		if part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

// leadsAstray reports whether the text of a link may lead out of the directory that the link is in.
func leadsAstray(target string) bool {
	if strings.HasPrefix(target, "/") {
		return true
	}
	for _, part := range names.Split(target) {
		if part == ".." {
			return true
		}
	}
	return false
}
