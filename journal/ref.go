package journal

import "ext4img/journal/buf"

// Ref names one metadata object inside one block; it is buf.Ref under a name for those who work through handles alone.
type Ref = buf.Ref
