package mkfs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// A sweepCase is one file system, described for Make and for mke2fs.
type sweepCase struct {
	size int64
	o    Options
	args []string
}

func (c *sweepCase) arg(words ...string) { c.args = append(c.args, words...) }

// sweepCases are cases that were once refused: a last group that is too small, with more inodes than the other groups
// hold.
func sweepCases() []sweepCase {
	var list []sweepCase
	for _, groups := range []int64{1, 2, 3} {
		for _, more := range []int64{1, 2, 50, 570, 1000, 1100} {
			size := (groups*32768 + more) * 4096
			list = append(list, sweepCase{size: size, o: Options{BlockSize: 4096}, args: []string{"-b", "4096"}})
			list = append(list, sweepCase{size: size, o: Options{BlockSize: 4096, BytesPerInode: 1024, InodeSize: 128},
				args: []string{"-b", "4096", "-i", "1024", "-I", "128"}})
		}
	}
	list = append(list,
		sweepCase{size: 5 << 20, o: Options{Inodes: 12}, args: []string{"-N", "12"}},
		sweepCase{size: 91624, o: Options{BlockSize: 1024, BytesPerInode: 131072}, args: []string{"-b", "1024", "-i", "131072"}},
		sweepCase{size: 4 << 30, o: Options{Inodes: 1100000}, args: []string{"-N", "1100000"}},
		sweepCase{size: 4 << 30, o: Options{BytesPerInode: 1024}, args: []string{"-i", "1024"}},
		sweepCase{size: 1 << 30, o: Options{BlockSize: 1024, BytesPerInode: 1024}, args: []string{"-b", "1024", "-i", "1024"}},
		sweepCase{size: 300 << 20, o: Options{BlocksPerGroup: 8192, Inodes: 80000, BlockSize: 1024}, args: []string{"-b", "1024", "-g", "8192", "-N", "80000"}},
	)
	for i := range list {
		list[i].arg("-t", "ext4")
	}
	return list
}

// randomCase returns random options and a random size, often just beyond a boundary of groups.
func randomCase(r *rand.Rand) sweepCase {
	c := sweepCase{}
	bs, limit := 0, 38.0 // 256 GiB
	switch r.IntN(5) {
	case 0:
		bs, limit = 1024, 35
	case 1:
		bs, limit = 2048, 36
	case 2:
		bs = 4096
	}
	kind := r.IntN(10)
	if kind < 2 {
		limit = 31
	} else if bs != 1024 && r.IntN(60) == 0 {
		limit = 44 // 16 TiB
	}
	c.size = int64(math.Exp2(16 + r.Float64()*(limit-16)))
	if bs != 0 {
		c.o.BlockSize = bs
		c.arg("-b", strconv.Itoa(bs))
		if group := int64(8 * bs * bs); r.IntN(2) == 0 && c.size > group {
			c.size = c.size/group*group + int64(r.IntN(1500)*bs)
		}
	}
	c.options(r, kind)
	return c
}

func (c *sweepCase) options(r *rand.Rand, kind int) {
	var features []string
	switch kind {
	case 0:
		c.o.Type = "ext2"
	case 1:
		c.o.Type = "ext3"
	default:
		c.o.Type = "ext4"
		all := []string{"^has_journal", "^metadata_csum", "^64bit", "^resize_inode", "^flex_bg", "meta_bg,^resize_inode", "bigalloc",
			"sparse_super2", "orphan_file", "quota", "ea_inode"}
		for range r.IntN(3) {
			features = append(features, all[r.IntN(len(all))])
		}
	}
	c.arg("-t", c.o.Type)
	if len(features) > 0 {
		c.o.Features = strings.Join(features, ",")
		c.arg("-O", c.o.Features)
	}
	bigalloc := strings.Contains(c.o.Features, "bigalloc")
	if bigalloc && c.o.BlockSize != 0 && r.IntN(2) == 0 {
		c.o.ClusterSize = c.o.BlockSize << (1 + r.IntN(6))
		c.arg("-C", strconv.Itoa(c.o.ClusterSize))
	}
	if r.IntN(3) == 0 {
		c.o.InodeSize = 128 << r.IntN(4)
		c.arg("-I", strconv.Itoa(c.o.InodeSize))
	}
	switch r.IntN(4) {
	case 0:
		c.o.BytesPerInode = uint64(1024 << r.IntN(8))
		c.arg("-i", fmt.Sprint(c.o.BytesPerInode))
	case 1:
		c.o.Inodes = uint64(16 + r.Int64N(max(1, c.size/int64(4096<<r.IntN(6)))))
		c.arg("-N", fmt.Sprint(c.o.Inodes))
	}
	if r.IntN(4) == 0 {
		p := float64(r.IntN(51))
		c.o.ReservedPercent = &p
		c.arg("-m", fmt.Sprint(p))
	}
	if r.IntN(5) == 0 && kind >= 2 && !strings.Contains(c.o.Features, "^flex_bg") {
		c.o.GroupsPerFlex = 1 << r.IntN(8)
		c.arg("-G", fmt.Sprint(c.o.GroupsPerFlex))
	}
	if r.IntN(8) == 0 && !bigalloc && c.o.BlockSize != 0 {
		c.o.BlocksPerGroup = uint32(8 * (32 + r.IntN(c.o.BlockSize-31)))
		c.arg("-g", fmt.Sprint(c.o.BlocksPerGroup))
	}
}

// sweepFields are the fields in which Make and mke2fs must agree.
var sweepFields = []string{
	"Filesystem features", "Inode count", "Block count", "Reserved block count", "First block", "Block size", "Cluster size",
	"Reserved GDT blocks", "Blocks per group", "Clusters per group", "Inodes per group", "Inode blocks per group", "Flex block group size",
	"First inode", "Inode size", "Total journal blocks", "Total journal size",
}

// TestMakeSweep makes file systems of random sizes and options with Make and mke2fs. Both succeed or both fail, the
// numbers are the same, and e2fsck finds no error.
func TestMakeSweep(t *testing.T) {
	judge.Need(t, "mke2fs")
	const ordinary = 40
	rounds := effort.Ops(ordinary, 2000)
	first := uint64(1)
	if rounds != ordinary {
		first = rand.Uint64()
	}
	seed := effort.FixedSeed(t, first, rounds)
	cases := sweepCases()
	for i := range rounds {
		cases = append(cases, randomCase(rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	dir := shape{size: 1 << 50}.dir(t)
	made, neither, alone := 0, 0, 0
	for i, c := range cases {
		switch ours, theirs := c.run(t, dir); {
		case ours && theirs:
			made++
		case ours:
			alone++
			t.Logf("case %d: mke2fs alone refuses: %d %v", i, c.size, c.args)
		case !theirs:
			neither++
		}
	}
	t.Logf("%d made by both, %d by neither, %d that mke2fs refuses", made, neither, alone)
}

// run reports which of the two made the file system.
func (c sweepCase) run(t *testing.T, dir string) (ours, theirs bool) {
	t.Helper()
	what := fmt.Sprintf("size %d, mke2fs %s", c.size, strings.Join(c.args, " "))
	c.o.Zeroed = true
	dev := simdev.New(c.size)
	err := Make(dev, pinned(c.o))
	a, b := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	defer os.Remove(a)
	defer os.Remove(b)
	if e := os.WriteFile(b, nil, 0o600); e != nil {
		t.Fatal(e)
	}
	if e := os.Truncate(b, c.size); e != nil {
		t.Fatal(e)
	}
	out, refusal := judge.Command(t, "mke2fs", append(append([]string{"-F", "-q"}, c.args...), b)...).CombinedOutput()
	if err != nil {
		if refusal == nil {
			t.Errorf("%s: %v", what, err)
		}
		return false, refusal == nil
	}
	if e := dev.Save(a); e != nil {
		t.Fatal(e)
	}
	if out, e := judge.Command(t, "e2fsck", "-fn", a).CombinedOutput(); e != nil {
		t.Errorf("%s: e2fsck: %v\n%s", what, e, out)
	}
	if refusal != nil {
		t.Logf("mke2fs: %s", out)
		return true, false
	}
	got, want := header(t, a), header(t, b)
	for _, key := range sweepFields {
		if got[key] != want[key] {
			t.Errorf("%s: %s: %q, mke2fs has %q", what, key, got[key], want[key])
		}
	}
	return true, true
}
