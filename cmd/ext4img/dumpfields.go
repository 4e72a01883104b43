package main

// superFields is struct ext4_super_block.
var superFields = []field{
	{0x0, 4, "s_inodes_count"}, {0x4, 4, "s_blocks_count_lo"}, {0x8, 4, "s_r_blocks_count_lo"}, {0xC, 4, "s_free_blocks_count_lo"},
	{0x10, 4, "s_free_inodes_count"}, {0x14, 4, "s_first_data_block"}, {0x18, 4, "s_log_block_size"}, {0x1C, 4, "s_log_cluster_size"},
	{0x20, 4, "s_blocks_per_group"}, {0x24, 4, "s_clusters_per_group"}, {0x28, 4, "s_inodes_per_group"}, {0x2C, 4, "s_mtime"},
	{0x30, 4, "s_wtime"}, {0x34, 2, "s_mnt_count"}, {0x36, 2, "s_max_mnt_count"}, {0x38, 2, "s_magic"}, {0x3A, 2, "s_state"},
	{0x3C, 2, "s_errors"}, {0x3E, 2, "s_minor_rev_level"}, {0x40, 4, "s_lastcheck"}, {0x44, 4, "s_checkinterval"},
	{0x48, 4, "s_creator_os"}, {0x4C, 4, "s_rev_level"}, {0x50, 2, "s_def_resuid"}, {0x52, 2, "s_def_resgid"}, {0x54, 4, "s_first_ino"},
	{0x58, 2, "s_inode_size"}, {0x5A, 2, "s_block_group_nr"}, {0x5C, 4, "s_feature_compat"}, {0x60, 4, "s_feature_incompat"},
	{0x64, 4, "s_feature_ro_compat"}, {0x68, 16, "s_uuid"}, {0x78, 16, "s_volume_name"}, {0x88, 64, "s_last_mounted"},
	{0xC8, 4, "s_algorithm_usage_bitmap"}, {0xCC, 1, "s_prealloc_blocks"}, {0xCD, 1, "s_prealloc_dir_blocks"},
	{0xCE, 2, "s_reserved_gdt_blocks"}, {0xD0, 16, "s_journal_uuid"}, {0xE0, 4, "s_journal_inum"}, {0xE4, 4, "s_journal_dev"},
	{0xE8, 4, "s_last_orphan"}, {0xEC, 16, "s_hash_seed"}, {0xFC, 1, "s_def_hash_version"}, {0xFD, 1, "s_jnl_backup_type"},
	{0xFE, 2, "s_desc_size"}, {0x100, 4, "s_default_mount_opts"}, {0x104, 4, "s_first_meta_bg"}, {0x108, 4, "s_mkfs_time"},
	{0x10C, 68, "s_jnl_blocks"}, {0x150, 4, "s_blocks_count_hi"}, {0x154, 4, "s_r_blocks_count_hi"}, {0x158, 4, "s_free_blocks_count_hi"},
	{0x15C, 2, "s_min_extra_isize"}, {0x15E, 2, "s_want_extra_isize"}, {0x160, 4, "s_flags"}, {0x164, 2, "s_raid_stride"},
	{0x166, 2, "s_mmp_interval"}, {0x168, 8, "s_mmp_block"}, {0x170, 4, "s_raid_stripe_width"}, {0x174, 1, "s_log_groups_per_flex"},
	{0x175, 1, "s_checksum_type"}, {0x176, 1, "s_encryption_level"}, {0x178, 8, "s_kbytes_written"}, {0x180, 4, "s_snapshot_inum"},
	{0x194, 4, "s_error_count"}, {0x198, 4, "s_first_error_time"}, {0x19C, 4, "s_first_error_ino"}, {0x1A0, 8, "s_first_error_block"},
	{0x1CC, 4, "s_last_error_time"}, {0x1D0, 4, "s_last_error_ino"}, {0x1D8, 8, "s_last_error_block"}, {0x200, 64, "s_mount_opts"},
	{0x240, 4, "s_usr_quota_inum"}, {0x244, 4, "s_grp_quota_inum"}, {0x248, 4, "s_overhead_blocks"}, {0x24C, 4, "s_backup_bgs[0]"},
	{0x250, 4, "s_backup_bgs[1]"}, {0x254, 4, "s_encrypt_algos"}, {0x258, 16, "s_encrypt_pw_salt"}, {0x268, 4, "s_lpf_ino"},
	{0x26C, 4, "s_prj_quota_inum"}, {0x270, 4, "s_checksum_seed"}, {0x274, 1, "s_wtime_hi"}, {0x275, 1, "s_mtime_hi"},
	{0x276, 1, "s_mkfs_time_hi"}, {0x277, 1, "s_lastcheck_hi"}, {0x278, 1, "s_first_error_time_hi"}, {0x279, 1, "s_last_error_time_hi"},
	{0x27A, 1, "s_first_error_errcode"}, {0x27B, 1, "s_last_error_errcode"}, {0x27C, 2, "s_encoding"}, {0x27E, 2, "s_encoding_flags"},
	{0x280, 4, "s_orphan_file_inum"}, {0x284, 2, "s_def_resuid_hi"}, {0x286, 2, "s_def_resgid_hi"}, {0x3FC, 4, "s_checksum"},
}

// descFields is struct ext4_group_desc.
var descFields = []field{
	{0x0, 4, "bg_block_bitmap_lo"}, {0x4, 4, "bg_inode_bitmap_lo"}, {0x8, 4, "bg_inode_table_lo"}, {0xC, 2, "bg_free_blocks_count_lo"},
	{0xE, 2, "bg_free_inodes_count_lo"}, {0x10, 2, "bg_used_dirs_count_lo"}, {0x12, 2, "bg_flags"}, {0x14, 4, "bg_exclude_bitmap_lo"},
	{0x18, 2, "bg_block_bitmap_csum_lo"}, {0x1A, 2, "bg_inode_bitmap_csum_lo"}, {0x1C, 2, "bg_itable_unused_lo"}, {0x1E, 2, "bg_checksum"},
	{0x20, 4, "bg_block_bitmap_hi"}, {0x24, 4, "bg_inode_bitmap_hi"}, {0x28, 4, "bg_inode_table_hi"}, {0x2C, 2, "bg_free_blocks_count_hi"},
	{0x2E, 2, "bg_free_inodes_count_hi"}, {0x30, 2, "bg_used_dirs_count_hi"}, {0x32, 2, "bg_itable_unused_hi"},
	{0x34, 4, "bg_exclude_bitmap_hi"}, {0x38, 2, "bg_block_bitmap_csum_hi"}, {0x3A, 2, "bg_inode_bitmap_csum_hi"},
}

// inodeFields is struct ext4_inode.
var inodeFields = []field{
	{0x0, 2, "i_mode"}, {0x2, 2, "i_uid"}, {0x4, 4, "i_size_lo"}, {0x8, 4, "i_atime"}, {0xC, 4, "i_ctime"}, {0x10, 4, "i_mtime"},
	{0x14, 4, "i_dtime"}, {0x18, 2, "i_gid"}, {0x1A, 2, "i_links_count"}, {0x1C, 4, "i_blocks_lo"}, {0x20, 4, "i_flags"},
	{0x24, 4, "l_i_version"}, {0x28, 60, "i_block"}, {0x64, 4, "i_generation"}, {0x68, 4, "i_file_acl_lo"}, {0x6C, 4, "i_size_high"},
	{0x70, 4, "i_obso_faddr"}, {0x74, 2, "l_i_blocks_high"}, {0x76, 2, "l_i_file_acl_high"}, {0x78, 2, "l_i_uid_high"},
	{0x7A, 2, "l_i_gid_high"}, {0x7C, 2, "l_i_checksum_lo"}, {0x80, 2, "i_extra_isize"}, {0x82, 2, "i_checksum_hi"},
	{0x84, 4, "i_ctime_extra"}, {0x88, 4, "i_mtime_extra"}, {0x8C, 4, "i_atime_extra"}, {0x90, 4, "i_crtime"}, {0x94, 4, "i_crtime_extra"},
	{0x98, 4, "i_version_hi"}, {0x9C, 4, "i_projid"},
}
