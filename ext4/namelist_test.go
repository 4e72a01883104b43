package ext4

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestNameListBounded: with any amount of memory, all names come, in order, once; and the memory is kept to.
func TestNameListBounded(t *testing.T) {
	img := newImage(t, "16M", append(shapes["1k"], "-N", "8000")...)
	fs, dev := openImage(t, img, Options{})
	dir, err := fs.Inode(RootIno).Mkdir("d", Attr{Perm: 0o755})
	must(t, err)
	file, err := fs.Create("/f", Attr{})
	must(t, err)
	must(t, file.Close())
	rnd := rand.New(rand.NewPCG(1, 2))
	var want []string
	for i := range 500 {
		name := fmt.Sprintf("%s%d", strings.Repeat(string(rune('a'+rnd.IntN(20))), 1+rnd.IntN(200)), i)
		must(t, fs.Inode(file.Ino()).Link(dir, name))
		want = append(want, name)
	}
	slices.Sort(want)
	for _, size := range []int{1, 300, 1000, 5000, 50000, nameMax} {
		l, bad, err := fs.listNames(context.Background(), dir.ino, size)
		must(t, errors.Join(append(bad, err)...))
		var got []string
		for e, ok := l.next(); ok; e, ok = l.next() {
			got = append(got, e.Name)
			if e.Ino != file.Ino() {
				t.Errorf("%s: inode %d", e.Name, e.Ino)
			}
			if l.size > size+300 {
				t.Fatalf("%d bytes, at most %d", l.size, size)
			}
			if rnd.IntN(100) == 0 {
				l.drop()
			}
			if l.done() != (e.Name == want[len(want)-1]) {
				t.Fatalf("%s: done %v", e.Name, l.done())
			}
		}
		if !slices.Equal(got, want) || l.err != nil {
			t.Errorf("%d bytes: %d names, want %d, %v", size, len(got), len(want), l.err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, _, err := fs.listNames(ctx, dir.ino, 1000)
	must(t, err)
	for _, ok := l.next(); ok; _, ok = l.next() {
		cancel()
	}
	if !errors.Is(l.err, context.Canceled) {
		t.Errorf("cut short: %v", l.err)
	}
	closeImage(t, fs, dev)
}

// TestWalkBounded: a walk with little memory for names visits the same, in the same order.
func TestWalkBounded(t *testing.T) {
	img := newImage(t, "16M", append(shapes["1k"], "-N", "4000")...)
	fs, dev := openImage(t, img, Options{})
	var fill func(at Inode, depth int)
	fill = func(at Inode, depth int) {
		for i := range 6 {
			in, err := at.Mkdir(strings.Repeat("n", 20)+fmt.Sprint(i), Attr{Perm: 0o755})
			must(t, err)
			if depth < 4 && i%2 == 1 {
				fill(in, depth+1)
			}
		}
	}
	fill(fs.Inode(RootIno), 0)
	whole := runWalk(t, fs, "/")
	for _, size := range []int{1, 50, 200, 700} {
		r := &recorder{}
		w := r.walk()
		w.names = size
		must(t, w.Run(context.Background(), fs.Inode(RootIno), "/"))
		if !slices.Equal(r.visits, whole.visits) || !slices.Equal(r.leaves, whole.leaves) || r.bad != nil {
			t.Errorf("%d bytes: %d visits, want %d; %q", size, len(r.visits), len(whole.visits), r.bad)
		}
	}
	must(t, fs.RemoveAll("/"+strings.Repeat("n", 20)+"1"))
	if _, err := fs.Lstat("/" + strings.Repeat("n", 20) + "1"); !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
}
