package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestImportCompressed: by each program, in several pieces, cut, and asking for much memory.
func TestImportCompressed(t *testing.T) {
	data := strings.Repeat("some content that repeats\n", 20000)
	archive := whole(member("f", data), member("g", "last"))
	dir := t.TempDir()
	for name, program := range map[string][]string{"gzip": {"gzip", "-c"}, "bzip2": {"bzip2", "-c"}, "xz": {"xz", "-c"}, "xz -9e": {"xz", "-9ec"},
		"xz crc32": {"xz", "-c", "--check=crc32"}, "xz sha256": {"xz", "-c", "--check=sha256"}, "xz none": {"xz", "-c", "--check=none"},
		"xz blocks": {"xz", "-c", "--block-size=65536"}, "zstd": {"zstd", "-c"}, "zstd -19": {"zstd", "-19", "-c"}, "zstd long": {"zstd", "--long=27", "-c"}} {
		if !judge.Has(program[0]) {
			t.Logf("judge missing: %s", program[0])
			continue
		}
		pack := func(p []byte) []byte {
			c := judge.Command(t, program[0], program[1:]...)
			c.Stdin = bytes.NewReader(p)
			out, err := c.Output()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return out
		}
		packed := pack(archive)
		two := append(pack(archive[:300000]), pack(archive[300000:])...)
		for i, p := range [][]byte{packed, two} {
			img := newImage(t, "8M")
			if r := importBytes(t, img, p); r.status != 0 || r.err != "" || ok(t, "cat", img, "/d/f") != data || ok(t, "cat", img, "/d/g") != "last" {
				t.Errorf("%s %d: %+v", name, i, r)
			}
			file := filepath.Join(dir, "a")
			if err := os.WriteFile(file, p, 0o600); err != nil {
				t.Fatal(err)
			}
			ok(t, "import", file, img, "/e")
		}
		spoiled := bytes.Clone(packed)
		spoiled[len(spoiled)*2/3] ^= 0x10
		for i, p := range [][]byte{packed[:len(packed)/2], packed[:len(packed)-1], spoiled} {
			img := newImage(t, "8M")
			if r := importBytes(t, img, p); r.status != 1 && r.status != 2 || r.err == "" {
				if i != 2 || name != "xz none" && !strings.HasPrefix(name, "zstd") {
					t.Errorf("%s, damaged %d: %+v", name, i, r)
				}
			}
			fsck(t, img)
		}
	}
	huge := []byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x28\x00\x00\x00")
	for name, head := range map[string]string{"lz4": "\x04\x22\x4d\x18", "lzip": "LZIP\x01", "lzop": "\x89LZO\x00\r\n\x1a\n", "compress": "\x1f\x9d\x90"} {
		img := newImage(t, "8M")
		if r := importBytes(t, img, append([]byte(head), make([]byte, 4000)...)); r.status != 1 || !strings.Contains(r.err, name) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	window := []byte("\x28\xb5\x2f\xfd\x00\xb0\x01\x00\x00x") // 4 GiB
	for i, p := range [][]byte{xzDictionary(huge), window} {
		img := newImage(t, "8M")
		if r := importBytes(t, img, p); r.status == 0 || r.err == "" {
			t.Errorf("much memory %d: %+v", i, r)
		}
	}
}

// xzDictionary puts the checksum of the block header right.
func xzDictionary(p []byte) []byte {
	return binary.LittleEndian.AppendUint32(p, crc32.ChecksumIEEE(p[12:]))
}
