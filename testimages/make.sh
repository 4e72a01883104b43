#!/usr/bin/env bash
# Makes every image in this folder anew, with mke2fs and debugfs (e2fsprogs 1.47) and sfdisk, and writes index.tsv: name, how
# it was made, what is in it. The same e2fsprogs makes the same bytes but for change times. Usage: testimages/make.sh [NAME…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD
export LC_ALL=C TZ=UTC0 E2FSPROGS_FAKE_TIME=1700000000 SOURCE_DATE_EPOCH=1700000000 DEBUGFS_PAGER=cat
PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export MKE2FS_CONFIG=$work/mke2fs.conf
printf '[defaults]\nbase_features = none\n[fs_types]\next4 = {\n}\nsmall = {\n}\nfloppy = {\n}\n' >mke2fs.conf

uuid=6f1d0d1e-4b5c-4f6a-9c0b-0123456789ab
seed=12345678-9abc-4def-8123-456789abcdef

# blocks COUNT STRIDE FILE writes COUNT blocks of 1 KiB, each STRIDE KiB after the one before it.
blocks() {
	local i
	for ((i = 0; i < $1; i++)); do
		printf 'block %06d ' "$i" | dd of="$3" bs=1024 seek=$((i * $2)) conv=notrunc,sync status=none
	done
}

# tree DIR is what every image holds.
tree() {
	mkdir -p "$1/dir/sub" "$1/many" "$1/empty"
	printf 'hello, world\n' >"$1/hello"
	: >"$1/dir/zero"
	seq 1 3000 >"$1/dir/numbers"
	printf 'end' | dd of="$1/sparse" bs=1 seek=1000000 status=none
	printf 'begin' | dd of="$1/sparse" bs=1 conv=notrunc status=none
	ln "$1/hello" "$1/dir/sub/hard"
	ln -s hello "$1/fast"
	ln -s "dir/$(printf 'x%.0s' $(seq 1 100))" "$1/slow"
	mknod "$1/null" c 1 3 2>/dev/null || : >"$1/null"
	mkfifo "$1/fifo"
	printf 'n\n' >"$1/$(printf 'n%.0s' $(seq 1 255))"
	local i
	for i in $(seq 1 40); do printf '%d\n' "$i" >"$1/many/file-$i"; done
	blocks 60 3 "$1/scattered"
	find "$1" -exec touch -h -d @1600000000 {} +
	chmod 0640 "$1/hello"
}

tree small
cp -a small large
mkdir large/htree
for i in $(seq 1 600); do : >"large/htree/a-rather-long-name-of-a-file-in-a-hashed-directory-$i"; done
blocks 420 2 large/deep
find large -exec touch -h -d @1600000000 {} +

declare -a wanted=("$@")

# image NAME TREE SIZE WHAT FLAGS… makes one file system; debugfs commands come from standard input.
image() {
	local name=$1 from=$2 size=$3 what=$4
	shift 4
	cat >"$name.cmd"
	printf '%s\tmke2fs %s %s\t%s\n' "$name" "$*" "$size" "$what" >>index.tsv
	want "$name" || return 0
	mke2fs -t ext4 -q -F -U "$uuid" -E "hash_seed=$seed,lazy_itable_init=1,nodiscard,root_owner=0:0" -I 256 -d "$from" "$@" "$name.img" "$size" >"$name.err" 2>&1 ||
		{ cat "$name.err" >&2; return 1; }
	[ ! -s "$name.cmd" ] || debugfs -w -f "$name.cmd" "$name.img" >"$name.log" 2>&1
	# mke2fs -d does not count quota and makes no hashed directories; whatever it was, an image must be clean to be a reference.
	[ -z "${tidy:-}" ] || e2fsck -fyD "$name.img" >"$name.log" 2>&1 || [ $? = 1 ]
	[ -n "${dirty:-}" ] || e2fsck -fn "$name.img" >"$name.log" 2>&1 || { cat "$name.log" >&2; return 1; }
	pack "$name"
}

want() { [ ${#wanted[@]} = 0 ] || printf '%s\n' "${wanted[@]}" | grep -qx "$1"; }
pack() { gzip -9n <"$1.img" >"$here/$1.img.gz"; }

ext4=has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum
more=$(
	cat <<'CMDS'
write /dev/null unwritten
fallocate unwritten 0 9
fallocate unwritten 20 39
set_inode_field unwritten size 200000
ea_set hello user.greeting bonjour
ea_set dir user.kind directory
CMDS
)

image default-4k small 16M 'mke2fs -t ext4 defaults: unwritten extents, xattrs, both kinds of symlinks' -O $ext4 -b 4096 <<<"$more"
tidy=1 image default-1k large 16M 'hashed directory, extent tree of depth 2, several groups' -O $ext4 -b 1024 -N 2048 -J size=1 <<<"$more"
image default-2k small 16M 'blocks of 2 KiB' -O $ext4 -b 2048 -J size=2 <<<"$more"
image block-64k small 32M 'blocks of 64 KiB, no journal' -O $ext4,^has_journal,^resize_inode -b 65536 -N 256 </dev/null
tidy=1 image ext3 large 16M 'indirect maps, hashed directory' -O has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file -b 1024 -N 2048 -J size=1 </dev/null
image ext2 small 8M 'no journal, indirect maps' -O ext_attr,dir_index,filetype,sparse_super,large_file -b 1024 -N 512 </dev/null
image ext2-bare small 4M 'no feature but filetype, no sparse_super' -O none,filetype -b 1024 -N 256 </dev/null
image nojournal small 8M 'defaults without a journal' -O $ext4,^has_journal -b 4096 <<<"$more"
image nocsum small 16M 'uninit_bg instead of metadata_csum' -O $ext4,^metadata_csum,uninit_bg -b 1024 -J size=1 <<<"$more"
image no64bit small 16M '32-byte descriptors' -O $ext4,^64bit -b 1024 -J size=1 <<<"$more"
image inline small 8M 'inline_data: small files and directories in the inode' -O $ext4,inline_data -b 1024 -J size=1 </dev/null
image bigalloc small 32M 'clusters of 16 KiB' -O $ext4,bigalloc,^resize_inode -b 4096 -C 16384 </dev/null
image orphan-file small 16M 'orphan_file' -O $ext4,orphan_file -b 4096 <<<"$more"
tidy=1 image quota small 16M 'quota files of users, groups and projects' -O $ext4,quota,project -b 4096 <<<"$more"
image csum-seed small 16M 'metadata_csum_seed' -O $ext4,metadata_csum_seed -b 4096 <<<"$more"
image meta-bg small 64M 'meta_bg' -O $ext4,meta_bg,^resize_inode -b 1024 -J size=1 -N 1024 <<<"$more"
image sparse-super2 small 32M 'sparse_super2' -O $ext4,sparse_super2,^resize_inode -b 1024 -J size=1 -N 1024 <<<"$more"
image casefold small 16M 'casefold, no directory with the flag' -O $ext4,casefold -b 4096 </dev/null
image ea-inode small 16M 'ea_inode, large_dir, verity' -O $ext4,ea_inode,large_dir,verity -b 4096 <<<"$more"
image mmp small 16M 'multiple mount protection' -O $ext4,mmp -b 4096 </dev/null
image inode-128 small 8M 'inodes of 128 bytes' -O $ext4,^extra_isize -b 1024 -J size=1 -I 128 </dev/null
dirty=1 image dirty small 16M 'a log with one transaction to recover (debugfs jo, jw, jc): writes block 3000' -O $ext4 -b 1024 -J size=1 <<CMDS
jo
jw -b 3000 $work/small/dir/numbers
jc
CMDS

# disk NAME LABEL puts a file system into the second partition of a disk image.
disk() {
	printf '%s\tsfdisk, label: %s\t%s\n' "$1" "$2" 'default-1k as partition 2, at 2 MiB' >>index.tsv
	want "$1" || return 0
	gzip -dc "$here/default-1k.img.gz" >fs.img
	truncate -s 19M "$1.img"
	printf 'label: %s\nlabel-id: %s\nstart=2048, size=2048, type=%s%s\nstart=4096, size=32768, type=L%s\n' "$2" "$3" "$4" "$5" "$6" |
		sfdisk -q "$1.img"
	dd if=fs.img of="$1.img" bs=1M seek=2 conv=notrunc,sparse status=none
	pack "$1"
}

disk disk-mbr dos 0x12345678 c '' ''
disk disk-gpt gpt $uuid U ', uuid=11111111-2222-4333-8444-555555555555' ', uuid=11111111-2222-4333-8444-666666666666'

sort index.tsv >"$here/index.tsv"
du -c -k "$here"/*.gz | tail -n 1
