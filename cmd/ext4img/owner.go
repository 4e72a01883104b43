package main

import (
	"fmt"
	"strconv"
	"strings"
)

func parseOwner(s string) (uid, gid int, err error) {
	u, g, has := strings.Cut(s, ":")
	uid, gid = -1, -1
	id := func(s string) (int, error) {
		if s == "root" {
			return 0, nil
		}
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == 1<<32-1 {
			return 0, fmt.Errorf("owner %q: want a number, or root", s)
		}
		return int(n), nil
	}
	if u != "" {
		if uid, err = id(u); err != nil {
			return 0, 0, err
		}
	}
	if has && g != "" {
		if gid, err = id(g); err != nil {
			return 0, 0, err
		}
	}
	if uid < 0 && gid < 0 {
		return 0, 0, fmt.Errorf("owner %q: want UID, UID:GID or :GID", s)
	}
	return uid, gid, nil
}
