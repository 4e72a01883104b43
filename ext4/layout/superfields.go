package layout

// Fields of the superblock for which only the offset matters.

// InodesCount is s_inodes_count: the number of inodes.
func (s Superblock) InodesCount() uint32 { return le.Uint32(s[0:]) }

// SetInodesCount sets s_inodes_count.
func (s Superblock) SetInodesCount(v uint32) { le.PutUint32(s[0:], v) }

// FreeInodesCount is s_free_inodes_count: the number of free inodes.
func (s Superblock) FreeInodesCount() uint32 { return le.Uint32(s[16:]) }

// SetFreeInodesCount sets s_free_inodes_count.
func (s Superblock) SetFreeInodesCount(v uint32) { le.PutUint32(s[16:], v) }

// FirstDataBlock is s_first_data_block: the block that holds the superblock: 1 with blocks of 1 KiB, else 0.
func (s Superblock) FirstDataBlock() uint32 { return le.Uint32(s[20:]) }

// SetFirstDataBlock sets s_first_data_block.
func (s Superblock) SetFirstDataBlock(v uint32) { le.PutUint32(s[20:], v) }

// LogBlockSize is s_log_block_size: the block size is 1024 << this.
func (s Superblock) LogBlockSize() uint32 { return le.Uint32(s[24:]) }

// SetLogBlockSize sets s_log_block_size.
func (s Superblock) SetLogBlockSize(v uint32) { le.PutUint32(s[24:], v) }

// LogClusterSize is s_log_cluster_size: the cluster size is 1024 << this.
func (s Superblock) LogClusterSize() uint32 { return le.Uint32(s[28:]) }

// SetLogClusterSize sets s_log_cluster_size.
func (s Superblock) SetLogClusterSize(v uint32) { le.PutUint32(s[28:], v) }

// BlocksPerGroup is s_blocks_per_group: blocks in a group.
func (s Superblock) BlocksPerGroup() uint32 { return le.Uint32(s[32:]) }

// SetBlocksPerGroup sets s_blocks_per_group.
func (s Superblock) SetBlocksPerGroup(v uint32) { le.PutUint32(s[32:], v) }

// ClustersPerGroup is s_clusters_per_group: clusters in a group.
func (s Superblock) ClustersPerGroup() uint32 { return le.Uint32(s[36:]) }

// SetClustersPerGroup sets s_clusters_per_group.
func (s Superblock) SetClustersPerGroup(v uint32) { le.PutUint32(s[36:], v) }

// InodesPerGroup is s_inodes_per_group: inodes in a group.
func (s Superblock) InodesPerGroup() uint32 { return le.Uint32(s[40:]) }

// SetInodesPerGroup sets s_inodes_per_group.
func (s Superblock) SetInodesPerGroup(v uint32) { le.PutUint32(s[40:], v) }

// Mtime is s_mtime: time of the last mount, seconds, low half.
func (s Superblock) Mtime() uint32 { return le.Uint32(s[44:]) }

// Wtime is s_wtime: time of the last write, seconds, low half.
func (s Superblock) Wtime() uint32 { return le.Uint32(s[48:]) }

// SetWtime sets s_wtime.
func (s Superblock) SetWtime(v uint32) { le.PutUint32(s[48:], v) }

// SetMaxMountCount sets s_max_mnt_count.
func (s Superblock) SetMaxMountCount(v uint16) { le.PutUint16(s[54:], v) }

// Magic is s_magic: 0xEF53.
func (s Superblock) Magic() uint16 { return le.Uint16(s[56:]) }

// SetMagic sets s_magic.
func (s Superblock) SetMagic(v uint16) { le.PutUint16(s[56:], v) }

// State is s_state: the state of the file system: StateClean and others.
func (s Superblock) State() uint16 { return le.Uint16(s[58:]) }

// SetState sets s_state.
func (s Superblock) SetState(v uint16) { le.PutUint16(s[58:], v) }

// Errors is s_errors: what to do about an error: 1 go on, 2 read only, 3 panic.
func (s Superblock) Errors() uint16 { return le.Uint16(s[60:]) }

// SetErrors sets s_errors.
func (s Superblock) SetErrors(v uint16) { le.PutUint16(s[60:], v) }

// LastCheck is s_lastcheck: time of the last check, seconds, low half.
func (s Superblock) LastCheck() uint32 { return le.Uint32(s[64:]) }

// SetLastCheck sets s_lastcheck.
func (s Superblock) SetLastCheck(v uint32) { le.PutUint32(s[64:], v) }

// CreatorOS is s_creator_os: 0 Linux, 1 Hurd, 2 Masix, 3 FreeBSD, 4 Lites.
func (s Superblock) CreatorOS() uint32 { return le.Uint32(s[72:]) }

// RevLevel is s_rev_level: 0 the old format, 1 with features and variable inodes.
func (s Superblock) RevLevel() uint32 { return le.Uint32(s[76:]) }

// SetRevLevel sets s_rev_level.
func (s Superblock) SetRevLevel(v uint32) { le.PutUint32(s[76:], v) }

// DefResuid is s_def_resuid, with its upper half s_def_resuid_hi: the user who may use reserved blocks.
func (s Superblock) DefResuid() uint32 {
	return uint32(le.Uint16(s[80:])) | uint32(le.Uint16(s[644:]))<<16
}

// DefResgid is s_def_resgid, with its upper half s_def_resgid_hi: the group that may use reserved blocks.
func (s Superblock) DefResgid() uint32 {
	return uint32(le.Uint16(s[82:])) | uint32(le.Uint16(s[646:]))<<16
}

// FirstIno is s_first_ino: the first inode that is not reserved (revision 1).
func (s Superblock) FirstIno() uint32 { return le.Uint32(s[84:]) }

// SetFirstIno sets s_first_ino.
func (s Superblock) SetFirstIno(v uint32) { le.PutUint32(s[84:], v) }

// InodeSize is s_inode_size: bytes in an inode record (revision 1).
func (s Superblock) InodeSize() uint16 { return le.Uint16(s[88:]) }

// SetInodeSize sets s_inode_size.
func (s Superblock) SetInodeSize(v uint16) { le.PutUint16(s[88:], v) }

// SetBlockGroupNr sets s_block_group_nr.
func (s Superblock) SetBlockGroupNr(v uint16) { le.PutUint16(s[90:], v) }

// ReservedGDTBlocks is s_reserved_gdt_blocks: blocks kept after each copy of the descriptors for growth.
func (s Superblock) ReservedGDTBlocks() uint16 { return le.Uint16(s[206:]) }

// SetReservedGDTBlocks sets s_reserved_gdt_blocks.
func (s Superblock) SetReservedGDTBlocks(v uint16) { le.PutUint16(s[206:], v) }

// JournalInum is s_journal_inum: the inode of the journal.
func (s Superblock) JournalInum() uint32 { return le.Uint32(s[224:]) }

// SetJournalInum sets s_journal_inum.
func (s Superblock) SetJournalInum(v uint32) { le.PutUint32(s[224:], v) }

// JournalDev is s_journal_dev: the device number of an external journal.
func (s Superblock) JournalDev() uint32 { return le.Uint32(s[228:]) }

// LastOrphan is s_last_orphan: the head of the orphan list.
func (s Superblock) LastOrphan() uint32 { return le.Uint32(s[232:]) }

// SetLastOrphan sets s_last_orphan.
func (s Superblock) SetLastOrphan(v uint32) { le.PutUint32(s[232:], v) }

// DefHashVersion is s_def_hash_version: the hash of new directories.
func (s Superblock) DefHashVersion() uint8 { return s[252] }

// SetDefHashVersion sets s_def_hash_version.
func (s Superblock) SetDefHashVersion(v uint8) { s[252] = v }

// JournalBackupType is s_jnl_backup_type: 1 when s_jnl_blocks holds a copy of the journal inode's map.
func (s Superblock) JournalBackupType() uint8 { return s[253] }

// SetJournalBackupType sets s_jnl_backup_type.
func (s Superblock) SetJournalBackupType(v uint8) { s[253] = v }

// DescSize is s_desc_size: bytes in a group descriptor, with 64bit.
func (s Superblock) DescSize() uint16 { return le.Uint16(s[254:]) }

// SetDescSize sets s_desc_size.
func (s Superblock) SetDescSize(v uint16) { le.PutUint16(s[254:], v) }

// SetDefaultMountOpts sets s_default_mount_opts.
func (s Superblock) SetDefaultMountOpts(v uint32) { le.PutUint32(s[256:], v) }

// FirstMetaBG is s_first_meta_bg: the first meta block group.
func (s Superblock) FirstMetaBG() uint32 { return le.Uint32(s[260:]) }

// MkfsTime is s_mkfs_time: time of creation, seconds, low half.
func (s Superblock) MkfsTime() uint32 { return le.Uint32(s[264:]) }

// SetMkfsTime sets s_mkfs_time.
func (s Superblock) SetMkfsTime(v uint32) { le.PutUint32(s[264:], v) }

// MinExtraIsize is s_min_extra_isize: bytes beyond 128 that every inode has.
func (s Superblock) MinExtraIsize() uint16 { return le.Uint16(s[348:]) }

// SetMinExtraIsize sets s_min_extra_isize.
func (s Superblock) SetMinExtraIsize(v uint16) { le.PutUint16(s[348:], v) }

// WantExtraIsize is s_want_extra_isize: bytes beyond 128 that a new inode should have.
func (s Superblock) WantExtraIsize() uint16 { return le.Uint16(s[350:]) }

// SetWantExtraIsize sets s_want_extra_isize.
func (s Superblock) SetWantExtraIsize(v uint16) { le.PutUint16(s[350:], v) }

// Flags is s_flags: signed or unsigned hash, and others.
func (s Superblock) Flags() uint32 { return le.Uint32(s[352:]) }

// SetFlags sets s_flags.
func (s Superblock) SetFlags(v uint32) { le.PutUint32(s[352:], v) }

// SetRaidStride sets s_raid_stride.
func (s Superblock) SetRaidStride(v uint16) { le.PutUint16(s[356:], v) }

// MMPInterval is s_mmp_update_interval: seconds between checks of multiple mount protection.
func (s Superblock) MMPInterval() uint16 { return le.Uint16(s[358:]) }

// SetMMPInterval sets s_mmp_update_interval.
func (s Superblock) SetMMPInterval(v uint16) { le.PutUint16(s[358:], v) }

// MMPBlock is s_mmp_block: the block of multiple mount protection.
func (s Superblock) MMPBlock() uint64 { return le.Uint64(s[360:]) }

// SetMMPBlock sets s_mmp_block.
func (s Superblock) SetMMPBlock(v uint64) { le.PutUint64(s[360:], v) }

// SetRaidStripeWidth sets s_raid_stripe_width.
func (s Superblock) SetRaidStripeWidth(v uint32) { le.PutUint32(s[368:], v) }

// LogGroupsPerFlex is s_log_groups_per_flex: a flex group is 1 << this groups.
func (s Superblock) LogGroupsPerFlex() uint8 { return s[372] }

// SetLogGroupsPerFlex sets s_log_groups_per_flex.
func (s Superblock) SetLogGroupsPerFlex(v uint8) { s[372] = v }

// ChecksumType is s_checksum_type: 1 is crc32c.
func (s Superblock) ChecksumType() uint8 { return s[373] }

// SetChecksumType sets s_checksum_type.
func (s Superblock) SetChecksumType(v uint8) { s[373] = v }

// ErrorCount is s_error_count: the number of errors seen.
func (s Superblock) ErrorCount() uint32 { return le.Uint32(s[404:]) }

// SetErrorCount sets s_error_count.
func (s Superblock) SetErrorCount(v uint32) { le.PutUint32(s[404:], v) }

// UsrQuotaInum is s_usr_quota_inum: the inode of the user quota file.
func (s Superblock) UsrQuotaInum() uint32 { return le.Uint32(s[576:]) }

// SetUsrQuotaInum sets s_usr_quota_inum.
func (s Superblock) SetUsrQuotaInum(v uint32) { le.PutUint32(s[576:], v) }

// GrpQuotaInum is s_grp_quota_inum: the inode of the group quota file.
func (s Superblock) GrpQuotaInum() uint32 { return le.Uint32(s[580:]) }

// SetGrpQuotaInum sets s_grp_quota_inum.
func (s Superblock) SetGrpQuotaInum(v uint32) { le.PutUint32(s[580:], v) }

// OverheadClusters is s_overhead_clusters: clusters taken by metadata at creation; 0 when not known.
func (s Superblock) OverheadClusters() uint32 { return le.Uint32(s[584:]) }

// SetOverheadClusters sets s_overhead_clusters.
func (s Superblock) SetOverheadClusters(v uint32) { le.PutUint32(s[584:], v) }

// PrjQuotaInum is s_prj_quota_inum: the inode of the project quota file.
func (s Superblock) PrjQuotaInum() uint32 { return le.Uint32(s[620:]) }

// SetPrjQuotaInum sets s_prj_quota_inum.
func (s Superblock) SetPrjQuotaInum(v uint32) { le.PutUint32(s[620:], v) }

// CsumSeed is s_checksum_seed: the seed of the checksums, with metadata_csum_seed.
func (s Superblock) CsumSeed() uint32 { return le.Uint32(s[624:]) }

// SetCsumSeed sets s_checksum_seed.
func (s Superblock) SetCsumSeed(v uint32) { le.PutUint32(s[624:], v) }

// Encoding is s_encoding: the character encoding of casefolded names: 1 is UTF-8 12.1.
func (s Superblock) Encoding() uint16 { return le.Uint16(s[636:]) }

// SetEncoding sets s_encoding.
func (s Superblock) SetEncoding(v uint16) { le.PutUint16(s[636:], v) }

// EncodingFlags is s_encoding_flags: EncodingStrict, EncodingNewest.
func (s Superblock) EncodingFlags() uint16 { return le.Uint16(s[638:]) }

// OrphanFileInum is s_orphan_file_inum: the inode of the orphan file.
func (s Superblock) OrphanFileInum() uint32 { return le.Uint32(s[640:]) }

// SetOrphanFileInum sets s_orphan_file_inum.
func (s Superblock) SetOrphanFileInum(v uint32) { le.PutUint32(s[640:], v) }

// Checksum is s_checksum: crc32c over all bytes before it.
func (s Superblock) Checksum() uint32 { return le.Uint32(s[1020:]) }

// SetChecksum sets s_checksum.
func (s Superblock) SetChecksum(v uint32) { le.PutUint32(s[1020:], v) }
