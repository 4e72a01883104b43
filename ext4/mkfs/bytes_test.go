package mkfs

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// On a device full of old bytes, none of them may count as part of the new file system.
func TestMakeOverOldContents(t *testing.T) {
	for _, s := range []shape{
		{name: "default", size: 100 * mib},
		{name: "4k", size: 100 * mib, o: Options{BlockSize: 4096}},
		{name: "no checksums", size: 100 * mib, o: Options{Features: "^metadata_csum"}},
		{name: "uninit_bg", size: 100 * mib, o: Options{Features: "^metadata_csum,uninit_bg"}},
		{name: "ext2", size: 100 * mib, o: Options{Type: "ext2"}},
		{name: "bigalloc", size: 300 * mib, o: Options{Features: "bigalloc,orphan_file,mmp"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			path := s.make(t, simdev.NewFilled(s.size, 0xAA))
			fsck(t, path)
			mount(t, path)
		})
	}
}

// Making a file system over another one leaves no group of the old one behind.
func TestMakeOverAnother(t *testing.T) {
	dev := simdev.New(64 * mib)
	if err := Make(dev, Options{BlockSize: 1024}); err != nil {
		t.Fatal(err)
	}
	fsck(t, shape{o: Options{BlockSize: 4096, Type: "ext2"}}.make(t, dev))
}

func TestSameOptionsSameBytes(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1500000000")
	hash := func(o Options) uint64 {
		dev := simdev.New(64 * mib)
		if err := Make(dev, o); err != nil {
			t.Fatal(err)
		}
		return dev.Hash()
	}
	pinned := Options{UUID: testUUID, Features: "orphan_file,quota,mmp"}
	if a, b := hash(pinned), hash(pinned); a != b {
		t.Error("two runs with the same UUID and SOURCE_DATE_EPOCH differ")
	}
	if a, b := hash(Options{}), hash(Options{}); a == b {
		t.Error("two runs without a UUID are the same")
	}
	later := hash(pinned)
	t.Setenv("SOURCE_DATE_EPOCH", "1500000001")
	if hash(pinned) == later {
		t.Error("SOURCE_DATE_EPOCH is not in the image")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := Make(simdev.New(64*mib), pinned); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("SOURCE_DATE_EPOCH=yesterday: %v", err)
	}
}

// A sparse image stays sparse: blocks are written only around bytes that are not zero.
func TestStaysSparse(t *testing.T) {
	dev := simdev.New(20 * gib)
	dev.Record()
	if err := Make(dev, Options{Zeroed: true}); err != nil {
		t.Fatal(err)
	}
	var written, zeros int
	for _, w := range dev.Trace().Writes {
		for off := 0; off < len(w.Data); off += 4096 {
			written++
			if strings.Trim(string(w.Data[off:min(off+4096, len(w.Data))]), "\x00") == "" {
				zeros++
			}
		}
	}
	t.Logf("%d pages of 4 KiB written, %d of them zero", written, zeros)
	if written > 1600 || zeros > 20 {
		t.Errorf("%d pages of 4 KiB written, %d of them zero: want at most 1600 and 20", written, zeros)
	}
}

func TestOptionsRefused(t *testing.T) {
	for want, o := range map[string]Options{
		"block size":            {BlockSize: 3000},
		"inode size":            {InodeSize: 100},
		"inode size 8192":       {InodeSize: 8192, BlockSize: 4096},
		"bytes per inode":       {BytesPerInode: 10},
		"% reserved":            {ReservedPercent: percent(51)},
		"label":                 {Label: "more than sixteen bytes"},
		"flex group":            {GroupsPerFlex: 3},
		"the device has":        {BlockSize: 1024, Blocks: 1 << 20},
		"no such type":          {Type: "no such type"},
		"none of that name":     {Features: "fast"},
		"journal_dev":           {Features: "journal_dev"},
		"needs extent":          {Features: "bigalloc,^extent"},
		"exclude each other":    {Features: "meta_bg,resize_inode"},
		"needs sparse_super":    {Features: "^sparse_super"},
		"needs metadata":        {Features: "^metadata_csum,metadata_csum_seed"},
		"needs has_journal":     {Features: "^has_journal,orphan_file"},
		"needs extra_isize":     {Features: "^extra_isize,quota,project"},
		"project and inline":    {Features: "inline_data", InodeSize: 128},
		"cluster size":          {Features: "bigalloc", ClusterSize: 1000},
		"want at least 1024":    {JournalSize: mib / 2},
		"at most half":          {JournalSize: 40 * mib},
		"without the":           {JournalSize: mib, Features: "^has_journal"},
		"and 1073741824 inodes": {Inodes: 1 << 30},
		"blocks per group":      {BlocksPerGroup: 1001},
		"resize to":             {ResizeBlocks: 100},
		"takes at least":        {JournalSize: 32 * mib, Inodes: 126000},
	} {
		dev := simdev.NewFilled(64*mib, 0xAA)
		before := dev.Hash()
		if err := Check(dev.Size(), o); err == nil {
			t.Errorf("%+v: Check finds nothing wrong", o)
		}
		err := Make(dev, o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
		if dev.Hash() != before {
			t.Errorf("%+v: refused, but the device is changed", o)
		}
	}
	for _, size := range []int64{0, 1, 1024, 4096, 50 * 1024} {
		if err := Make(simdev.New(size), Options{}); err == nil || !strings.Contains(err.Error(), "too small") {
			t.Errorf("%d bytes: error %v, want too small", size, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	if err := Make(simdev.New(1<<62), Options{BlockSize: 1024}); !errors.Is(err, layout.ErrUnsupported) {
		t.Errorf("2^62 bytes: %v", err)
	}
}

// Whichever write is the last to reach the device, the result is no file system or a whole one.
func TestMakeCrash(t *testing.T) {
	dev := simdev.New(8 * mib)
	if err := Make(dev, pinned(Options{})); err != nil {
		t.Fatal(err)
	}
	dev.Record()
	if err := Make(dev, pinned(Options{BlockSize: 4096, Label: "new"})); err != nil {
		t.Fatal(err)
	}
	whole := dev.Hash()
	trace := dev.Trace()
	for e := trace.First; e <= trace.Last; e++ {
		writes := trace.Open(e)
		for n := range len(writes) + 1 {
			state := trace.State(e, simdev.Wholes(writes[:n])...)
			super := make([]byte, layout.SuperSize)
			if _, err := state.ReadAt(super, layout.SuperOffset); err != nil {
				t.Fatal(err)
			}
			s, err := layout.ParseSuperblock(super)
			if err == nil && s.VolumeName() == "new" && state.Hash() != whole {
				t.Fatalf("epoch %d, %d of %d writes: a superblock without its file system", e, n, len(writes))
			}
			if err == nil && s.VolumeName() != "new" && (e > trace.First || n > 0) {
				t.Fatalf("epoch %d, %d of %d writes: the old superblock with new contents", e, n, len(writes))
			}
		}
	}
}

// Every I/O error is reported.
func TestMakeFault(t *testing.T) {
	broken := errors.New("broken")
	for i := 0; ; i++ {
		dev := simdev.NewFilled(8*mib, 0xAA)
		dev.SetFault(simdev.FailAt(i, broken))
		err := Make(dev, pinned(Options{Features: "orphan_file,quota,project,mmp,^metadata_csum"}))
		if err == nil && dev.IOs() <= i {
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("I/O %d fails: error %v", i, err)
		}
	}
}

// Random options make a file system that e2fsck finds clean, or are refused.
func TestMakeRandom(t *testing.T) {
	judge.Need(t, "e2fsck")
	seed, rounds := int64(1), 60
	if effort.Long() {
		seed, rounds = testTime.UnixNano()^int64(os.Getpid()), 5000
	}
	made := 0
	for i := range rounds {
		r := rand.New(rand.NewSource(seed + int64(i)))
		s := randomShape(r)
		t.Run(fmt.Sprint("seed ", seed+int64(i)), func(t *testing.T) {
			dev := simdev.New(s.size)
			err := Make(dev, pinned(s.o))
			if err != nil {
				t.Logf("%d bytes, %+v: %v", s.size, s.o, err)
				return
			}
			made++
			path := t.TempDir() + "/fs.img"
			if err := dev.Save(path); err != nil {
				t.Fatal(err)
			}
			fsck(t, path)
			if t.Failed() {
				t.Logf("%d bytes, %+v", s.size, s.o)
			}
		})
	}
	if made < rounds/2 {
		t.Errorf("%d of %d random file systems could be made: the generator is at fault", made, rounds)
	}
}

func randomShape(r *rand.Rand) shape {
	pick := func(list ...string) string { return list[r.Intn(len(list))] }
	o := Options{
		Type:      pick("", "", "", "ext3", "ext2"),
		BlockSize: []int{0, 1024, 2048, 4096, 65536}[r.Intn(5)],
		InodeSize: []int{0, 0, 128, 512, 1024}[r.Intn(5)],
		Zeroed:    true,
	}
	var features []string
	for _, f := range []string{
		"^has_journal", "bigalloc", "inline_data", "meta_bg", "sparse_super2", "quota", "quota,project", "casefold", "metadata_csum_seed",
		"orphan_file", "^metadata_csum", "^metadata_csum,uninit_bg", "^flex_bg", "^64bit", "^resize_inode", "mmp", "^huge_file", "large_dir",
	} {
		if r.Intn(6) == 0 {
			features = append(features, f)
		}
	}
	o.Features = strings.Join(features, ",")
	if r.Intn(4) == 0 {
		o.Inodes = uint64(1 + r.Intn(20000))
	}
	if r.Intn(4) == 0 {
		o.GroupsPerFlex = 1 << r.Intn(8)
	}
	if r.Intn(6) == 0 {
		o.BlocksPerGroup = uint32(256 * (1 + r.Intn(31)))
	}
	if r.Intn(6) == 0 && !strings.Contains(o.Features, "^has_journal") && o.Type != "ext2" {
		o.JournalSize = uint64(1+r.Intn(64)) * mib
	}
	return shape{size: int64(r.Intn(300*mib)) + mib, o: o}
}
