package layout

import "ext4img/aio/block"

// Multi-mount protection: a computer that has the file system mounted writes a new number to one block again and
// again.
const (
	MMPSize          = 1024
	MMPMagic         = 0x004D4D50
	MMPClean  uint32 = 0xFF4D4D50 // mmp_seq: not mounted anywhere
	MMPFsck   uint32 = 0xE24D4D50 // mmp_seq: being checked
	MMPMaxSeq uint32 = 0xE24D4D4F // mmp_seq: the largest number of a mount
)

// MMP is a view on the 1,024 bytes of the block of multi-mount protection (struct mmp_struct).
type MMP []byte

// ParseMMP makes a view of the first 1,024 bytes of p.
func ParseMMP(p []byte) (MMP, error) {
	if len(p) < MMPSize {
		return nil, Corruptf("MMP block: %d bytes, want %d", len(p), MMPSize)
	}
	return MMP(p[:MMPSize:MMPSize]), nil
}

// Magic is mmp_magic.
func (m MMP) Magic() uint32 { return le.Uint32(m[0x0:]) }

// Sequence is mmp_seq.
func (m MMP) Sequence() uint32 { return le.Uint32(m[0x4:]) }

// SetSequence sets mmp_seq.
func (m MMP) SetSequence(v uint32) { le.PutUint32(m[0x4:], v) }

// SetTime sets mmp_time.
func (m MMP) SetTime(seconds uint64) { le.PutUint64(m[0x8:], seconds) }

// NodeName is mmp_nodename: the computer that updated it last.
func (m MMP) NodeName() string { return cstring(m[0x10:0x50]) }

// DeviceName is mmp_bdevname: the device's name there.
func (m MMP) DeviceName() string { return cstring(m[0x50:0x70]) }

// SetNames sets mmp_nodename and mmp_bdevname, cut to 63 and 31 bytes.
func (m MMP) SetNames(node, device string) {
	setCstring(m[0x10:0x50], node[:min(len(node), 63)])
	setCstring(m[0x50:0x70], device[:min(len(device), 31)])
}

// Checksum is mmp_checksum.
func (m MMP) Checksum() uint32 { return le.Uint32(m[0x3FC:]) }

// ComputeChecksum is what mmp_checksum should be. seed is the file system's checksum seed.
func (m MMP) ComputeChecksum(seed uint32) uint32 { return block.Crc32c(seed, m[:0x3FC]) }

// MMPType is the buf.Type of the block of multi-mount protection.
type MMPType struct{ G *Geometry }

// String names the object in errors: buf.Type.
func (MMPType) String() string { return "MMP block" }

// Verify checks magic and checksum.
func (t MMPType) Verify(p []byte) error {
	if err := t.Check(p); err != nil {
		return err
	}
	m := MMP(p[:MMPSize])
	if want := m.ComputeChecksum(t.G.CsumSeed); t.G.MetadataCsum() && m.Checksum() != want {
		return Corruptf("checksum %#x, want %#x", m.Checksum(), want)
	}
	return nil
}

// Check checks size and magic.
func (MMPType) Check(p []byte) error {
	m, err := ParseMMP(p)
	if err == nil && m.Magic() != MMPMagic {
		err = Corruptf("MMP block: magic %#x, want %#x", m.Magic(), MMPMagic)
	}
	return err
}

// Seal stores the checksum.
func (t MMPType) Seal(p []byte) {
	if t.G.MetadataCsum() {
		le.PutUint32(p[0x3FC:], MMP(p[:MMPSize]).ComputeChecksum(t.G.CsumSeed))
	}
}
