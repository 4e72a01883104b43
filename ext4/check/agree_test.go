package check

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// A turn is a change to an image after which our check must end as e2fsck -fn does, even if that ends early.
type turn struct {
	name, image string
	change      func(e *editor)
}

var turns = slices.Concat(xattrTurns, endTurns, superTurns, quotaTurns)

func TestAgreesWithE2fsck(t *testing.T) {
	for _, k := range turns {
		t.Run(k.image+"/"+k.name, func(t *testing.T) {
			t.Parallel()
			e := edit(t, k.image)
			k.change(e)
			r := run(t, e.dev)
			status, out := e2fsckSays(t, e.dev)
			want := status & (ExitProblems | ExitCannotCheck)
			if want&ExitProblems != 0 {
				want = ExitProblems
			}
			if got := r.ExitStatus(true); got != want {
				t.Errorf("status %d, e2fsck ends with %d: %s\n%s", got, status, summary(r), out)
			}
		})
	}
}

// bodyXattr changes the first attribute in the record of a file.
func (e *editor) bodyXattr(name string, change func(entry []byte)) {
	e.t.Helper()
	e.change(name, func(in layout.Inode) {
		at := 128 + int(le.Uint16(in[0x80:]))
		if le.Uint32(in[at:]) != xattrMagic {
			e.t.Fatalf("%s: no attributes", name)
		}
		change(in[at+4:])
	})
}

var xattrTurns = []turn{
	{"empty value nowhere", "nocsum", func(e *editor) {
		e.bodyXattr("hello", func(p []byte) { le.PutUint16(p[2:], 0xFFFC); clear(p[8:16]) })
	}},
	{"empty value elsewhere", "nocsum", func(e *editor) {
		e.bodyXattr("hello", func(p []byte) { le.PutUint16(p[2:], 1); clear(p[8:16]) })
	}},
	{"inline data by its full name", "inline", func(e *editor) {
		e.inlineXattr(func(_ layout.Inode, p []byte) { p[0], p[1] = 11, 0; copy(p[16:], "system.data") })
	}},
	{"inline data in another class", "inline", func(e *editor) { e.inlineXattr(func(_ layout.Inode, p []byte) { p[1] = 99 }) }},
}

// sealed changes the record of an inode and corrects its checksum.
func (e *editor) sealed(ino layout.Ino, change func(in layout.Inode)) {
	e.t.Helper()
	g := e.c.geo
	e.inode(ino, func(in layout.Inode) {
		change(in)
		sum := inodeChecksum(g.inodeSeed(ino, in.Generation()), in, true)
		le.PutUint16(in[0x7C:], uint16(sum))
		le.PutUint16(in[0x82:], uint16(sum>>16))
	})
}

// inlineXattr changes the attribute system.data of a file, which begins at byte 164 of the record.
func (e *editor) inlineXattr(change func(in layout.Inode, entry []byte)) {
	e.t.Helper()
	e.sealed(e.file("hello"), func(in layout.Inode) { change(in, in[164:]) })
}

// truncate leaves the first n bytes of the device.
func (e *editor) truncate(n int) {
	e.t.Helper()
	p := make([]byte, n)
	if _, err := e.dev.ReadAt(p, 0); err != nil {
		e.t.Fatal(err)
	}
	e.dev = device(e.t, p)
}

func breakInlineXattr(e *editor) { e.inlineXattr(func(_ layout.Inode, p []byte) { p[12] ^= 1 }) }

func journalErrno(e *editor) { e.block(e.where(8, 0), func(p []byte) { p[35] = 5 }) }

func orphanFileNowhere(e *editor) { e.super(func(s layout.Superblock) { s[0x5D] |= 0x10 }) }

// endTurns are changes at which e2fsck ends without a verdict, or with the verdict on what it has found before.
var endTurns = []turn{
	{"inline data, hash", "inline", breakInlineXattr},
	{"inline data, hash, after an error", "inline", func(e *editor) {
		breakInlineXattr(e)
		e.sealed(12, func(in layout.Inode) { in.SetDtime(5000000) })
	}},
	{"inline data, hash, before an error", "inline", func(e *editor) {
		breakInlineXattr(e)
		e.sealed(16, func(in layout.Inode) { in.SetDtime(5000000) })
	}},
	{"inline data, i_extra_isize", "inline", func(e *editor) {
		e.inlineXattr(func(in layout.Inode, _ []byte) { in[0x80] = 34; copy(in[162:], in[160:250]) })
	}},
	{"inline data, value inode", "inline", func(e *editor) {
		e.super(func(s layout.Superblock) { s[0x61] |= 0x4 })
		e.inlineXattr(func(_ layout.Inode, p []byte) { le.PutUint32(p[4:], 99999) })
	}},
	{"map blocks behind the end of the device", "ext3", func(e *editor) { e.truncate(4 << 20) }},
	{"journal behind the end of the device", "ext3", func(e *editor) { e.truncate(1 << 20) }},
	{"journal error", "meta-bg", journalErrno},
	{"journal error, resize inode", "default-1k", journalErrno},
	{"orphan file", "nocsum", orphanFileNowhere},
	{"orphan file, after an error", "nocsum", func(e *editor) {
		orphanFileNowhere(e)
		e.change("hello", func(in layout.Inode) { in.SetLinks(9) })
	}},
}

var superTurns = []turn{
	{"journal UUID, internal journal", "nocsum", func(e *editor) { e.super(func(s layout.Superblock) { s[0xD0] = 1 }) }},
	{"journal UUID, no journal", "ext2", func(e *editor) { e.super(func(s layout.Superblock) { s[0xD0] = 1 }) }},
	{"journal of 4 GiB and more", "nocsum", func(e *editor) { e.inode(8, func(in layout.Inode) { in[0x6C] = 1 }) }},
	{"s_desc_size 2, one group", "default-4k", func(e *editor) { e.super(func(s layout.Superblock) { s[0xFE] = 2 }) }},
	{"s_desc_size 32, two groups", "default-1k", func(e *editor) { e.super(func(s layout.Superblock) { s[0xFE] = 32 }) }},
	{"s_desc_size 3", "default-4k", func(e *editor) { e.super(func(s layout.Superblock) { s[0xFE] = 3 }) }},
	{"so many unused inodes that their count wraps", "ext3", func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetItableUnused(0x7000) }) }},
	{"one unused inode too many", "ext3", func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetItableUnused(1025) }) }},
	{"quota inode of no use, l_i_blocks_high", "nocsum", func(e *editor) { e.inode(3, func(in layout.Inode) { in[0x74] = 1 }) }},
	{"bad blocks, casefold", "nocsum", func(e *editor) { e.inode(1, func(in layout.Inode) { in[0x23] |= 0x40 }) }},
	{"bad block, descriptors", "ext3", badBlock(2)},
	{"bad block, reserved for descriptors", "ext3", badBlock(4)},
	{"bad block, bitmap behind meta_bg", "meta-bg", badBlock(8195)},
	{"translator of the Hurd", "ext3", func(e *editor) {
		e.super(func(s layout.Superblock) { s[0x48] = osHurd })
		e.change("hello", func(in layout.Inode) { in[0x24] = 2 })
	}},
	{"resize inode, a map block twice", "ext3", func(e *editor) {
		rec, err := e.c.readInode(layout.ResizeIno)
		if err != nil {
			e.t.Fatal(err)
		}
		e.block(uint64(le.Uint32(layout.Inode(rec).Block()[13*4:])), func(p []byte) { copy(p[12:16], p[8:12]) })
	}},
}

// badBlock puts a block on the list of bad ones.
func badBlock(b uint32) func(e *editor) {
	return func(e *editor) { e.sealed(1, func(in layout.Inode) { le.PutUint32(in.Block(), b) }) }
}

// quotaWord sets a 32-bit number of the quota file of users.
func quotaWord(at int, v uint32) func(e *editor) {
	return func(e *editor) {
		e.block(e.where(3, 0), func(p []byte) { le.PutUint32(p[at:], v) })
	}
}

var quotaTurns = []turn{
	{"more blocks than the file", "quota", quotaWord(0x14, 99)},
	{"fewer blocks than the tree", "quota", quotaWord(0x14, 4)},
	{"free block nowhere", "quota", quotaWord(0x18, 99)},
	{"free entry nowhere", "quota", quotaWord(0x1C, 99)},
	{"size beyond 2 GiB", "quota", func(e *editor) { e.sealed(3, func(in layout.Inode) { in.SetSize(1<<31 + 1) }) }},
	{"size of 2 GiB", "quota", func(e *editor) { e.sealed(3, func(in layout.Inode) { in.SetSize(1 << 31) }) }},
	{"size not of whole blocks", "quota", func(e *editor) { e.sealed(3, func(in layout.Inode) { in.SetSize(in.Size() - 1) }) }},
	{"reference to nowhere", "quota", quotaWord(1024+4*100, 0xFFFF)},
	{"reference to the root", "quota", quotaWord(1024+4*100, 1)},
}

// foldedIndex makes a file system with a hashed, casefolded directory, inode 12, whose names go beyond ASCII.
func foldedIndex(t *testing.T) *simdev.Device {
	t.Helper()
	tree := t.TempDir()
	if err := os.Mkdir(filepath.Join(tree, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		name := fmt.Sprintf("a\u0308hre %d", i) // already in folded form: the hashes stay the same
		if err := os.WriteFile(filepath.Join(tree, "d", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := judge.Mke2fs(t, "8M", "-b", "1024", "-O", "casefold,^metadata_csum", "-E", "encoding=utf8,hash_seed=12345678-9abc-4def-8123-456789abcdef", "-d", tree)
	if out, err := judge.Command(t, "e2fsck", "-fyD", path).CombinedOutput(); err != nil && err.Error() != "exit status 1" {
		t.Fatalf("e2fsck: %v: %s", err, out)
	}
	judge.Change(t, path, fmt.Sprintf("set_inode_field <12> flags %#x\n", layout.FlagExtents|layout.FlagCasefold|layout.FlagIndex))
	return simdev.FromImage(judge.Load(t, path))
}

// TestCasefoldedIndex exchanges two leaves of a hashed directory. The check must notice by the hashes of names beyond
// ASCII.
func TestCasefoldedIndex(t *testing.T) {
	e := &editor{t: t, dev: foldedIndex(t), c: &checker{rep: newReporter(1)}}
	e.c.dev = e.dev
	if err := e.c.open(); err != nil {
		t.Fatal(err)
	}
	// The hash of a name that is not UTF-8 is not checked.
	e.block(e.where(12, 1), func(p []byte) { p[le.Uint16(p[4:])+8] = 0xFF })
	if r := run(t, e.dev); !r.Clean() || e2fsck(t, e.dev) != 0 {
		t.Errorf("before: %s", summary(r))
	}
	e.block(e.where(12, 1), func(p []byte) {
		e.block(e.where(12, 2), func(q []byte) {
			for i := range p {
				p[i], q[i] = q[i], p[i]
			}
		})
	})
	r := run(t, e.dev)
	if got, want := r.ExitStatus(true), e2fsck(t, e.dev); got != want || r.Counts[codeIndexRange] == 0 {
		t.Errorf("status %d, e2fsck says %d: %s", got, want, summary(r))
	}
}
