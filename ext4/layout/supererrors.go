package layout

import (
	"strconv"
	"time"
)

// Values of s_first_error_errcode and s_last_error_errcode (EXT4_ERR_…).
const (
	ErrCodeUnknown   = 1 // EXT4_ERR_UNKNOWN
	ErrCodeBadCRC    = 4 // EXT4_ERR_EFSBADCRC: a checksum
	ErrCodeCorrupted = 5 // EXT4_ERR_EFSCORRUPTED
)

// Values of s_errors: the reaction to an error.
const (
	ErrorsContinue = 1 // EXT4_ERRORS_CONTINUE
	ErrorsReadOnly = 2 // EXT4_ERRORS_RO
	ErrorsPanic    = 3 // EXT4_ERRORS_PANIC
)

// An ErrorRecord is what the superblock records of one error.
type ErrorRecord struct {
	Time  time.Time // in whole seconds; zero: there was no error
	Code  uint8     // ErrCodeCorrupted or another
	Ino   uint32    // 0: not known
	Block uint64    // 0: not known
	Func  string    // the function that found the error, at most 32 bytes
	Line  uint32    // the line in its source
}

// errorPlaces holds the offsets of the fields of one error.
type errorPlaces struct{ time, timeHigh, code, ino, block, fn, line int }

var (
	firstError = errorPlaces{time: 0x198, timeHigh: 0x278, code: 0x27A, ino: 0x19C, block: 0x1A0, fn: 0x1A8, line: 0x1C8}
	lastError  = errorPlaces{time: 0x1CC, timeHigh: 0x279, code: 0x27B, ino: 0x1D0, block: 0x1D8, fn: 0x1E0, line: 0x1D4}
)

// errorCodes are the names of EXT4_ERR_…, from 1 on, as dumpe2fs prints them.
var errorCodes = [...]string{"UNKNOWN", "EIO", "ENOMEM", "EFSBADCRC", "EFSCORRUPTED", "ENOSPC", "ENOKEY", "EROFS", "EFBIG", "EEXIST",
	"ERANGE", "EOVERFLOW", "EBUSY", "ENOTDIR", "ENOTEMPTY", "ESHUTDOWN", "EFAULT"}

// CodeName is the name of the code.
func (e ErrorRecord) CodeName() string {
	if e.Code == 0 || int(e.Code) > len(errorCodes) {
		return "UNKNOWN_ERRCODE_" + strconv.Itoa(int(e.Code))
	}
	return errorCodes[e.Code-1]
}

const errorFuncSize = 32 // EXT4_S_ERR_FUNC

func (s Superblock) errorAt(p errorPlaces) (e ErrorRecord) {
	sec := int64(le.Uint32(s[p.time:])) | int64(s[p.timeHigh])<<32
	if sec == 0 {
		return e
	}
	return ErrorRecord{time.Unix(sec, 0).UTC(), s[p.code], le.Uint32(s[p.ino:]), le.Uint64(s[p.block:]), cstring(s[p.fn:][:errorFuncSize]), le.Uint32(s[p.line:])}
}

func (s Superblock) setErrorAt(p errorPlaces, e ErrorRecord) {
	sec := e.Time.Unix()
	le.PutUint32(s[p.time:], uint32(sec))
	s[p.timeHigh] = byte(sec >> 32)
	s[p.code] = e.Code
	le.PutUint32(s[p.ino:], e.Ino)
	le.PutUint64(s[p.block:], e.Block)
	setCstring(s[p.fn:][:errorFuncSize], e.Func)
	le.PutUint32(s[p.line:], e.Line)
}

// FirstError is the first error since the last check: s_first_error_time and the fields that belong to it.
func (s Superblock) FirstError() ErrorRecord { return s.errorAt(firstError) }

// LastError is the newest error: s_last_error_time and the fields that belong to it.
func (s Superblock) LastError() ErrorRecord { return s.errorAt(lastError) }

// AddError records an error, as the kernel does. It becomes the last error, and the first if there was none.
// s_error_count grows, and s_state says that there are errors.
func (s Superblock) AddError(e ErrorRecord) {
	s.SetState(s.State() | StateErrors)
	if s.FirstError().Time.IsZero() {
		s.setErrorAt(firstError, e)
	}
	s.setErrorAt(lastError, e)
	s.SetErrorCount(s.ErrorCount() + 1)
}
