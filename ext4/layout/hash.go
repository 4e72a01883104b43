package layout

import "math/bits"

// HashVersion is the hash of a directory's index: dx_root_info.hash_version, and s_def_hash_version for new ones.
type HashVersion uint8

// The hashes. Only the signed forms and SipHash are stored on disk; s_flags says whether the bytes of names are taken
// as unsigned instead (see Geometry.DirHash).
const (
	HashLegacy          HashVersion = 0
	HashHalfMD4         HashVersion = 1
	HashTea             HashVersion = 2
	HashLegacyUnsigned  HashVersion = 3
	HashHalfMD4Unsigned HashVersion = 4
	HashTeaUnsigned     HashVersion = 5
	HashSip             HashVersion = 6 // casefolded and encrypted directories: the hash follows each name
)

// hashEOF is the hash that the kernel takes for the end of the directory, so no name may have it.
const hashEOF = 0xFFFFFFFE

// A NameHash is the hash of a name in a hashed directory. Its lowest bit is always zero: in an index, that bit says
// that names with the same hash began in the leaf before.
type NameHash uint32

// DirHash computes the hash of a name, which must be folded if the directory is casefolded. version is that of the
// directory's root (ext4fs_dirhash). For an unknown version, and for SipHash, which needs the directory's key, it
// returns false.
func (g *Geometry) DirHash(version HashVersion, name []byte) (NameHash, bool) {
	if version <= HashTea && g.UnsignedHash {
		version += HashLegacyUnsigned
	}
	h, _, ok := dirHash(version, g.HashSeed, name)
	return h, ok
}

// dirHash computes the hash of a name and its minor hash. Nothing on disk depends on the minor hash.
func dirHash(version HashVersion, seed [4]uint32, name []byte) (NameHash, uint32, bool) {
	state := [4]uint32{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476}
	if seed != [4]uint32{} {
		state = seed
	}
	unsigned := version >= HashLegacyUnsigned
	var major, minor uint32
	switch version {
	case HashLegacy, HashLegacyUnsigned:
		major = legacyHash(name, unsigned)
	case HashHalfMD4, HashHalfMD4Unsigned:
		for rest := name; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			var in [8]uint32
			hashWords(in[:], rest, unsigned)
			halfMD4(&state, &in)
		}
		major, minor = state[1], state[2]
	case HashTea, HashTeaUnsigned:
		for rest := name; len(rest) > 0; rest = rest[min(16, len(rest)):] {
			var in [4]uint32
			hashWords(in[:], rest, unsigned)
			tea(&state, &in)
		}
		major, minor = state[0], state[1]
	default:
		return 0, 0, false
	}
	major &^= 1
	if major == hashEOF {
		major -= 2
	}
	return NameHash(major), minor, true
}

// hashChar converts a byte of a name to a number, as C converts a char, which is signed or not.
func hashChar(c byte, unsigned bool) uint32 {
	if unsigned {
		return uint32(c)
	}
	return uint32(int8(c))
}

// legacyHash is the oldest hash.
func legacyHash(name []byte, unsigned bool) uint32 {
	h0, h1 := uint32(0x12A3FE2D), uint32(0x37ABE8F9)
	for _, c := range name {
		h := h1 + (h0 ^ hashChar(c, unsigned)*7152373)
		if h&0x80000000 != 0 {
			h -= 0x7FFFFFFF
		}
		h0, h1 = h, h0
	}
	return h0 << 1
}

// hashWords packs the start of a name into words, the first byte highest. It fills the rest with the length of the
// remaining name.
func hashWords(out []uint32, name []byte, unsigned bool) {
	pad := uint32(len(name)) | uint32(len(name))<<8
	pad |= pad << 16
	for w := range out {
		v := pad
		for i := 4 * w; i < min(4*w+4, len(name)); i++ {
			v = hashChar(name[i], unsigned) + v<<8
		}
		out[w] = v
	}
}

// tea is sixteen rounds of the Tiny Encryption Algorithm, the name as the key.
func tea(state *[4]uint32, key *[4]uint32) {
	x, y := state[0], state[1]
	var sum uint32
	for range 16 {
		sum += 0x9E3779B9
		x += (y<<4 + key[0]) ^ (y + sum) ^ (y>>5 + key[1])
		y += (x<<4 + key[2]) ^ (x + sum) ^ (x>>5 + key[3])
	}
	state[0] += x
	state[1] += y
}

// A md4Round is one of the three rounds of MD4, cut down to eight words.
type md4Round struct {
	f     func(x, y, z uint32) uint32
	add   uint32
	order [8]uint8 // the word that each step takes
	rot   [4]int   // rotations, in turn
}

var halfMD4Rounds = [3]md4Round{
	{func(x, y, z uint32) uint32 { return x&y | ^x&z }, 0, [8]uint8{0, 1, 2, 3, 4, 5, 6, 7}, [4]int{3, 7, 11, 19}},
	{func(x, y, z uint32) uint32 { return x&y | x&z | y&z }, 0x5A827999, [8]uint8{1, 3, 5, 7, 0, 2, 4, 6}, [4]int{3, 5, 9, 13}},
	{func(x, y, z uint32) uint32 { return x ^ y ^ z }, 0x6ED9EBA1, [8]uint8{3, 7, 2, 6, 1, 5, 0, 4}, [4]int{3, 9, 11, 15}},
}

// halfMD4 mixes eight words into the state: MD4 with half of its steps.
func halfMD4(state *[4]uint32, in *[8]uint32) {
	a, b, c, d := state[0], state[1], state[2], state[3]
	for i := range halfMD4Rounds {
		r := &halfMD4Rounds[i]
		for step, word := range r.order {
			t := bits.RotateLeft32(a+r.f(b, c, d)+in[word]+r.add, r.rot[step%4])
			a, b, c, d = d, t, b, c
		}
	}
	state[0] += a
	state[1] += b
	state[2] += c
	state[3] += d
}
