package tree

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file writes tar archives: POSIX.1-2001 headers ("pax") and the sparse members of GNU tar, format 1.0, which package
// archive/tar reads and does not write. See POSIX's pax(1), and "Storing Sparse Files" in the manual of GNU tar.

const (
	tarBlock     = 512
	tarHeaderMax = 1 << 20 // bytes of records of one member, and of a map: package archive/tar reads no more
	tarSizeMax   = 1<<33 - 1
	tarIDMax     = 1<<21 - 1
)

// Types of members.
const (
	tarRegular = '0'
	tarLink    = '1'
	tarSymlink = '2'
	tarChar    = '3'
	tarDevice  = '4'
	tarDir     = '5'
	tarFIFO    = '6'
	tarRecords = 'x' // the records of the next member
)

// tarMember is the header of one member.
type tarMember struct {
	Name, Linkname string
	Type           byte
	Mode           uint16
	UID, GID       uint32
	Size           int64 // bytes that follow in the archive, without padding
	Mtime, Atime   time.Time
	Major, Minor   uint32
	Records        []tarRecord // beside those that the other fields need
}

// tarRecord is one extended record. A key has no "=" in it.
type tarRecord struct{ Key, Value string }

// String is the record as the archive has it: its own length in decimal comes first.
func (r tarRecord) String() string {
	rest := len(r.Key) + len(r.Value) + len(" =\n")
	n := rest + len(strconv.Itoa(rest))
	if rest+len(strconv.Itoa(n)) > n {
		n++
	}
	return strconv.Itoa(n) + " " + r.Key + "=" + r.Value + "\n"
}

// tarWriter writes an archive, member after member.
type tarWriter struct {
	to   io.Writer
	left int64 // bytes of the current member's content that are still to come
	pad  int64 // zeros after them
}

// header begins a member. The content of the one before must be complete.
func (w *tarWriter) header(m *tarMember) error {
	if w.left > 0 {
		return fmt.Errorf("archive: %d bytes of a member are missing", w.left)
	}
	if records := m.records(); len(records) > 0 {
		var text strings.Builder
		for _, r := range records {
			text.WriteString(r.String())
		}
		if text.Len() > tarHeaderMax {
			return errTarHeader
		}
		h := tarMember{Name: paxName(m.Name), Type: tarRecords, Mode: 0o644, Size: int64(text.Len())}
		if err := w.block(&h); err != nil {
			return err
		}
		if _, err := io.WriteString(w, text.String()); err != nil {
			return err
		}
	}
	return w.block(m)
}

// errTarHeader: what is to be said of a member is more than readers take.
var errTarHeader = fmt.Errorf("more than %d bytes of names and attributes: no reader of archives takes them", tarHeaderMax)

// Write writes content of the current member, and the padding behind its last byte.
func (w *tarWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, fmt.Errorf("archive: %d bytes more than the member has", int64(len(p))-w.left)
	}
	n, err := w.raw(p)
	w.left -= int64(n)
	if err == nil && w.left == 0 && w.pad > 0 {
		_, err = w.raw(make([]byte, w.pad))
		w.pad = 0
	}
	return n, err
}

// close writes the end of the archive, and fills its last record of 10 KiB as other programs do not have to.
func (w *tarWriter) close() error {
	_, err := w.raw(make([]byte, 2*tarBlock))
	return err
}

// raw writes to the archive; its errors are the host's.
func (w *tarWriter) raw(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil {
		err = &hostFault{op: "write", err: err, all: true}
	}
	return n, err
}

// block writes the 512 bytes of a header. What does not fit into its fields stands in the records.
func (w *tarWriter) block(m *tarMember) error {
	var b [tarBlock]byte
	copy(b[0:100], m.Name)
	octal(b[100:108], int64(m.Mode))
	octal(b[108:116], fits(int64(m.UID), tarIDMax))
	octal(b[116:124], fits(int64(m.GID), tarIDMax))
	octal(b[124:136], fits(m.Size, tarSizeMax))
	octal(b[136:148], fits(m.Mtime.Unix(), tarSizeMax))
	b[156] = m.Type
	copy(b[157:257], m.Linkname)
	copy(b[257:265], "ustar\x0000")
	if m.Type == tarChar || m.Type == tarDevice {
		octal(b[329:337], int64(m.Major))
		octal(b[337:345], int64(m.Minor))
	}
	sum := int64(8 * ' ') // the field of the sum itself counts as blanks
	for _, c := range b {
		sum += int64(c)
	}
	octal(b[148:155], sum)
	b[155] = ' '
	w.left, w.pad = m.Size, -m.Size&(tarBlock-1)
	_, err := w.raw(b[:])
	return err
}

// octal fills a field with an octal number and a zero byte.
func octal(field []byte, v int64) {
	copy(field, fmt.Sprintf("%0*o", len(field)-1, v))
}

// fits is v, or 0 where a field cannot have it.
func fits(v, limit int64) int64 {
	if v < 0 || v > limit {
		return 0
	}
	return v
}

// records lists the records of a member: what the block's fields cannot have, then its own.
func (m *tarMember) records() (list []tarRecord) {
	add := func(key, value string) { list = append(list, tarRecord{key, value}) }
	if !utf8.ValidString(m.Name) || !utf8.ValidString(m.Linkname) {
		add("hdrcharset", "BINARY")
	}
	if !short(m.Name) {
		add("path", m.Name)
	}
	if !short(m.Linkname) {
		add("linkpath", m.Linkname)
	}
	if m.Size > tarSizeMax {
		add("size", strconv.FormatInt(m.Size, 10))
	}
	if m.UID > tarIDMax {
		add("uid", strconv.FormatUint(uint64(m.UID), 10))
	}
	if m.GID > tarIDMax {
		add("gid", strconv.FormatUint(uint64(m.GID), 10))
	}
	if s := m.Mtime.Unix(); m.Mtime.Nanosecond() != 0 || fits(s, tarSizeMax) != s {
		add("mtime", paxTime(m.Mtime))
	}
	if !m.Atime.IsZero() {
		add("atime", paxTime(m.Atime))
	}
	return append(list, m.Records...)
}

// short tells whether a name fits into a header's field, where readers take it for ASCII.
func short(name string) bool {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return false
		}
	}
	return len(name) <= 100
}

// paxName is the name of the member that has the records of another one. Programs that do not know it make a file of it.
func paxName(name string) string {
	dir, base := path.Split(strings.TrimRight(name, "/"))
	dir, base = dir[:min(len(dir), 99)], base[:min(len(base), 99)]
	ascii := []byte(dir + "PaxHeaders/" + base)
	for i, c := range ascii {
		if c >= 0x80 {
			ascii[i] = '_'
		}
	}
	return string(ascii[:min(len(ascii), 99)])
}

// paxTime is a time in seconds since 1970 with a fraction, as exact as it is.
func paxTime(t time.Time) string {
	sec, nsec, sign := t.Unix(), int64(t.Nanosecond()), ""
	if sec < 0 {
		sign, sec = "-", -sec
		if nsec > 0 {
			sec, nsec = sec-1, int64(time.Second)-nsec
		}
	}
	s := sign + strconv.FormatInt(sec, 10)
	if nsec > 0 {
		s += strings.TrimRight(fmt.Sprintf(".%09d", nsec), "0")
	}
	return s
}

// sparse makes m a sparse member: of size bytes, with data only in the ranges of data, whose bytes are to be written one
// after the other. It returns the map, which comes before them.
func (m *tarMember) sparse(size int64, data []span) (sparseMap []byte) {
	if n := len(data); n == 0 || data[n-1].end < size {
		data = append(data[:n:n], span{size, size}) // the size of the file, for readers that know only the map
	}
	text := fmt.Appendf(nil, "%d\n", len(data))
	m.Size = 0
	for _, s := range data {
		text = fmt.Appendf(text, "%d\n%d\n", s.start, s.end-s.start)
		m.Size += s.end - s.start
	}
	text = append(text, make([]byte, -len(text)&(tarBlock-1))...)
	m.Size += int64(len(text))
	m.Records = append([]tarRecord{{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", m.Name},
		{"GNU.sparse.realsize", strconv.FormatInt(size, 10)}}, m.Records...)
	m.Name = "GNUSparseFile.0/" + path.Base(m.Name) // for programs that do not know such members
	return text
}
