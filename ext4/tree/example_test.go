package tree_test

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/mkfs"
	"ext4img/ext4/tree"
)

// A new image is filled from a stream in tar format.
func ExampleImportTar() {
	dir, err := os.MkdirTemp("", "tree")
	check(err)
	defer os.RemoveAll(dir)
	image := filepath.Join(dir, "disk.img")
	check(os.WriteFile(image, nil, 0o600))
	check(os.Truncate(image, 64<<20))

	dev, err := aio.Open(image, aio.Options{Write: true})
	check(err)
	defer dev.Close()
	check(mkfs.Make(dev, mkfs.Options{}))
	fs, err := ext4.Open(dev, ext4.Options{})
	check(err)

	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		check(t.WriteHeader(&tar.Header{Name: "etc/motd", Mode: 0o640, Uid: 1000, Size: 6}))
		_, err := io.WriteString(t, "hello\n")
		check(err)
		check(t.Close())
		w.CloseWithError(nil)
	}()
	asRoot := func(e *tree.Entry) bool { e.UID, e.GID = 0, 0; return true }
	check(tree.ImportTar(context.Background(), fs, "/", r, tree.ImportOptions{Change: asRoot}))

	text, err := fs.ReadFile("etc/motd")
	check(err)
	info, err := fs.Stat("/etc/motd")
	check(err)
	fmt.Printf("%v, owner %d: %s", info.Mode(), info.(*ext4.FileInfo).Stat().UID, text)
	check(fs.Close())
	// Output: -rw-r-----, owner 0: hello
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
