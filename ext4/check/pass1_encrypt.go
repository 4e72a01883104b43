package check

import (
	"sync"

	"ext4img/ext4/layout"
)

// Encryption policies are numbered in the order in which they are found. Some numbers stand for no usable policy.
const (
	policyNone    = ^uint32(0)
	policyCorrupt = ^uint32(1)
	policyUnknown = ^uint32(2)
)

// policies holds the policy of every encrypted inode.
type policies struct {
	mu  sync.Mutex
	ids map[string]uint32
	of  map[layout.Ino]uint32
}

func (p *policies) init() { p.ids, p.of = map[string]uint32{}, map[layout.Ino]uint32{} }

// get is the policy of an inode.
func (p *policies) get(ino layout.Ino) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok := p.of[ino]; ok {
		return id
	}
	return policyNone
}

// set records the encryption context of an inode, and reports whether it is valid. The policy is the context without
// the nonce at its end. A context of an unknown version is accepted.
func (p *policies) set(ino layout.Ino, context []byte) bool {
	size := map[byte]int{1: 28, 2: 40}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(context) == 0 || context[0] == 0 {
		return false
	}
	n, known := size[context[0]]
	if !known {
		p.of[ino] = policyUnknown
		return true
	}
	if len(context) != n {
		return false
	}
	policy := string(context[:n-16])
	id, ok := p.ids[policy]
	if !ok {
		id = uint32(len(p.ids))
		p.ids[policy] = id
	}
	p.of[ino] = id
	return true
}

// checkEncryption reads the policy of an encrypted inode.
func (k *inodeCheck) checkEncryption() {
	context, err := k.w.xattrValue(k.ino, k.rec, "c")
	switch {
	case err != nil:
		k.c.rep.add(codeEncryptionMissing, k.at().say("%v", err))
	case !k.c.policies.set(k.ino, context):
		k.bad(codeEncryptionCorrupt, nil, nil)
	}
}
