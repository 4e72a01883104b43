package tree

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Keywords of extended headers that give the map of a sparse file, in GNU tar's formats 0.0, 0.1 and 1.0.
const (
	paxSparse       = "GNU.sparse."
	paxSparseMajor  = "GNU.sparse.major"
	paxSparseMinor  = "GNU.sparse.minor"
	paxSparseName   = "GNU.sparse.name"
	paxSparseSize   = "GNU.sparse.size"
	paxSparseReal   = "GNU.sparse.realsize"
	paxSparseMap    = "GNU.sparse.map"
	paxSparseOffset = "GNU.sparse.offset"
	paxSparseBytes  = "GNU.sparse.numbytes"
)

// tarExtended collects what comes in front of a member's own header.
type tarExtended struct {
	records    map[string]string
	ranges     []tarRange // format 0.0 repeats its keywords
	name, link *string    // GNU tar's long ones
	err        error
}

// add takes the data of a header of kind x, L or K.
func (e *tarExtended) add(kind byte, p []byte) {
	text := tarText(p)
	switch kind {
	case 'L':
		e.name = &text
	case 'K':
		e.link = &text
	default:
		if e.records == nil {
			e.records = map[string]string{}
		}
		if err := e.parse(p, e.records); err != nil && e.err == nil {
			e.err = err
		}
	}
}

// globals are the records for all members that follow, with those of p.
func (e *tarExtended) globals(old map[string]string, p []byte) map[string]string {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	if err := e.parse(p, all); err != nil && e.err == nil {
		e.err = err
	}
	total := 0
	for k, v := range all {
		total += len(k) + len(v)
	}
	if total > maxTarRecords {
		e.err = fmt.Errorf("global records of more than %d bytes", maxTarRecords)
		return old
	}
	return all
}

// parse reads records: "LENGTH KEYWORD=VALUE\n".
func (e *tarExtended) parse(p []byte, into map[string]string) error {
	open := false // a range without its length yet
	for len(p) > 0 {
		digits, _, ok := bytes.Cut(p, []byte{' '})
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if !ok || err != nil || n <= uint64(len(digits))+2 || n > uint64(len(p)) || p[n-1] != '\n' {
			if len(bytes.Trim(p, "\x00")) == 0 {
				return nil // padded
			}
			return errors.New("an extended header that is none")
		}
		key, value, ok := strings.Cut(string(p[len(digits)+1:n-1]), "=")
		if !ok {
			return errors.New("an extended header without '='")
		}
		p = p[n:]
		switch key {
		case paxSparseOffset, paxSparseBytes:
			if err := e.addRange(key, value, &open); err != nil {
				return err
			}
		default:
			into[key] = value
		}
	}
	return nil
}

// addRange takes one number of a map in format 0.0.
func (e *tarExtended) addRange(key, value string, open *bool) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("%s %q is no number", key, value)
	case (key == paxSparseBytes) != *open:
		return errors.New("a map of ranges out of order")
	case key == paxSparseBytes:
		e.ranges[len(e.ranges)-1].n = n
	case len(e.ranges) >= maxTarRanges:
		return fmt.Errorf("a map of more than %d ranges", maxTarRanges)
	default:
		e.ranges = append(e.ranges, tarRange{off: n})
	}
	*open = !*open
	return nil
}

// apply gives a member what extended headers say: global ones first.
func (e *tarExtended) apply(m *tarHeader, global map[string]string, stored *int64) error {
	if e.name != nil {
		m.name = *e.name
	}
	if e.link != nil {
		m.link = *e.link
	}
	m.records = e.records
	if len(global) > 0 {
		m.records = maps.Clone(global)
		maps.Copy(m.records, e.records)
	}
	if e.err != nil {
		return e.err
	}
	if v, ok := m.records["path"]; ok && v != "" {
		m.name = v
	}
	if v, ok := m.records["linkpath"]; ok && v != "" {
		m.link = v
	}
	for key, to := range map[string]*int64{"uid": &m.uid, "gid": &m.gid, "size": stored, "SCHILY.devmajor": &m.major, "SCHILY.devminor": &m.minor} {
		v := m.records[key]
		if v == "" || key == "size" && m.kind == tarLink {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("%s %q is no number", key, v)
		}
		*to = n
	}
	for key, to := range map[string]*time.Time{"atime": &m.atime, "mtime": &m.mtime} {
		if v := m.records[key]; v != "" {
			t, err := parsePaxTime(v)
			if err != nil {
				return fmt.Errorf("%s %q is no time", key, v)
			}
			*to = t
		}
	}
	return nil
}

// parsePaxTime reads seconds since 1970 with a fraction.
func parsePaxTime(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return time.Time{}, err
	}
	if strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, strconv.ErrSyntax
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if strings.HasPrefix(whole, "-") {
		nsec = -nsec
	}
	return tarTime(sec, nsec), err
}
