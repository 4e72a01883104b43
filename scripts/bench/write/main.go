//go:build linux

// Command write measures first writes into unwritten extents: direct I/O of 4 KiB at depth 32 that writes each block
// of a 1 GiB file once, in random order, including the final sync. It runs these contenders in alternating rounds:
//
//	ours   this module, on an image of 4 GiB
//	plain  fio overwriting a plain file that was preallocated and written
//	loop   fio on the kernel's ext4 on the same image, through a loop device with direct I/O (needs root)
//	fuse   fio on fuse2fs on the same image, a small part of the writes (if fuse2fs is installed)
//
// It prints each round, then medians and ratios.
//
//	go run ./scripts/bench/write [-dir DIR] [-rounds 5] [-engine io_uring] [-only ours,plain,loop,fuse]
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	imageSize = 4 << 30
	fileSize  = 1 << 30
	block     = 4096
	fuseSize  = 32 << 20 // bytes written through fuse2fs, which is slow
)

func main() {
	dir := flag.String("dir", os.TempDir(), "where to make the files: on a disk, 6 GiB")
	rounds := flag.Int("rounds", 5, "runs of each")
	engine := flag.String("engine", "io_uring", "io_uring or libaio")
	only := flag.String("only", "ours,plain,loop,fuse", "what to run")
	worker := flag.String("worker", "", "write into this image and print the result; for the program itself")
	profile := flag.String("cpuprofile", "", "where the worker puts a CPU profile")
	flag.Parse()
	var err error
	if *worker != "" {
		err = work(*worker, *engine, *profile)
	} else {
		err = run(*dir, *rounds, *engine, strings.Split(*only, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench write:", err)
		os.Exit(1)
	}
}

// bench is one run of all contenders.
type bench struct {
	image, plain, mount string
	engine              string
}

func run(dir string, rounds int, engine string, only []string) error {
	tmp, err := os.MkdirTemp(dir, "bench-write-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b := bench{filepath.Join(tmp, "image"), filepath.Join(tmp, "plain"), filepath.Join(tmp, "mnt"), engine}
	if err := b.prepare(); err != nil {
		return err
	}
	contenders := []struct {
		name string
		run  func() (float64, error)
	}{{"ours", b.ours}, {"plain", b.plainFio}, {"loop", b.loop}, {"fuse", b.fuse}}
	iops := map[string][]float64{}
	for i := range rounds {
		for j := range contenders {
			c := contenders[(i+j)%len(contenders)]
			if !slices.Contains(only, c.name) {
				continue
			}
			v, err := c.run()
			if err != nil {
				fmt.Printf("round %d  %-6s skipped: %v\n", i+1, c.name, err)
				continue
			}
			fmt.Printf("round %d  %-6s %9.0f writes/s\n", i+1, c.name, v)
			iops[c.name] = append(iops[c.name], v)
		}
	}
	report(iops)
	return nil
}

// report prints the medians and the median of the ratios.
func report(iops map[string][]float64) {
	fmt.Printf("\n%-6s %12s %8s %8s\n", "", "writes/s", "ratio", "target")
	fmt.Printf("%-6s %12.0f\n", "ours", median(iops["ours"]))
	for _, c := range []struct {
		name   string
		target float64
	}{{"plain", 0.85}, {"loop", 1.5}, {"fuse", 10}} {
		if len(iops[c.name]) == 0 {
			continue
		}
		fmt.Printf("%-6s %12.0f %8.2f %8.2f\n", c.name, median(iops[c.name]), median(iops["ours"])/median(iops[c.name]), c.target)
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.SortFunc(v, cmp.Compare[float64])
	return v[len(v)/2]
}

// prepare writes all blocks of both files once, so that first writes on the disk below are not measured.
func (b bench) prepare() error {
	for path, size := range map[string]int64{b.image: imageSize, b.plain: fileSize} {
		if err := command("fio", "--name=fill", "--filename="+path, fmt.Sprintf("--size=%d", size), "--bs=1m", "--rw=write",
			"--ioengine=libaio", "--iodepth=16", "--direct=1", "--end_fsync=1"); err != nil {
			return err
		}
	}
	return os.Mkdir(b.mount, 0o755)
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// mkfs makes the image afresh.
func (b bench) mkfs() error {
	return command("mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=1", b.image)
}

// ours runs this program's worker in a process of its own, and checks the image afterwards.
func (b bench) ours() (float64, error) {
	if err := b.mkfs(); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, "-worker", b.image, "-engine", b.engine)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	var v float64
	if err := json.Unmarshal(out, &v); err != nil {
		return 0, err
	}
	return v, command("e2fsck", "-fn", b.image)
}

func (b bench) plainFio() (float64, error) { return b.fio(b.plain, fileSize) }

// fio writes size bytes at random into a file of 1 GiB and returns writes per second, including the sync.
func (b bench) fio(path string, size int) (float64, error) {
	out, err := exec.Command("fio", "--name=x", "--filename="+path, "--ioengine="+b.engine, "--direct=1", fmt.Sprintf("--bs=%d", block),
		"--iodepth=32", "--rw=randwrite", fmt.Sprintf("--size=%d", fileSize), fmt.Sprintf("--io_size=%d", size), "--randrepeat=0",
		"--fallocate=none", "--end_fsync=1", "--overwrite=0", "--output-format=json").Output()
	if err != nil {
		return 0, fmt.Errorf("fio: %w: %s", err, out)
	}
	var report struct {
		Jobs []struct {
			Runtime int `json:"job_runtime"`
			Write   struct {
				IOs int `json:"total_ios"`
			}
			Sync struct {
				Lat struct {
					Mean float64
					N    float64
				} `json:"lat_ns"`
			}
		}
	}
	if err := json.Unmarshal(out[strings.IndexByte(string(out), '{'):], &report); err != nil || len(report.Jobs) != 1 {
		return 0, fmt.Errorf("fio's report: %v", err)
	}
	j := report.Jobs[0]
	return float64(j.Write.IOs) / (float64(j.Runtime) / 1e3), nil
}

// loop measures the kernel on a loop device with direct I/O.
func (b bench) loop() (float64, error) {
	if os.Geteuid() != 0 {
		return 0, fmt.Errorf("needs root")
	}
	if err := b.mkfs(); err != nil {
		return 0, err
	}
	out, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", b.image).Output()
	if err != nil {
		return 0, fmt.Errorf("losetup: %w", err)
	}
	dev := strings.TrimSpace(string(out))
	defer command("losetup", "-d", dev)
	if err := command("mount", dev, b.mount); err != nil {
		return 0, err
	}
	defer command("umount", b.mount)
	return b.inMount(fileSize)
}

// fuse measures fuse2fs.
func (b bench) fuse() (float64, error) {
	if _, err := exec.LookPath("fuse2fs"); err != nil {
		return 0, err
	}
	if err := b.mkfs(); err != nil {
		return 0, err
	}
	server := exec.Command("fuse2fs", "-f", "-o", "fakeroot", b.image, b.mount)
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer func() {
		if command("umount", b.mount) != nil {
			_ = server.Process.Kill()
		}
		_ = server.Wait() // it still writes after the unmount
	}()
	if err := b.waitMounted(); err != nil {
		return 0, err
	}
	return b.inMount(fuseSize)
}

// waitMounted waits until fuse2fs serves the mount point.
func (b bench) waitMounted() error {
	for range 100 {
		if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), b.mount) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("fuse2fs did not mount")
}

// inMount preallocates the file in the mounted file system and writes into it.
func (b bench) inMount(size int) (float64, error) {
	file := filepath.Join(b.mount, "db")
	if err := command("fallocate", "-l", fmt.Sprint(fileSize), file); err != nil {
		return 0, err
	}
	return b.fio(file, size)
}
