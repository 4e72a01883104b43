package journal

import (
	"ext4img/aio"
	"ext4img/journal/buf"
)

type Journal struct{}
type Handle struct{}
type View struct{}

func Open(cfg Config) (*Journal, error)               { panic(0) }
func (j *Journal) Start(credits int) (*Handle, error) { panic(0) }
func (j *Journal) View() *View                        { panic(0) }
func (v *View) Read(r buf.Ref) ([]byte, error)        { panic(0) }
func (v *View) Close()                                { panic(0) }
func (j *Journal) Commit(tid TID) error               { panic(0) }
func (j *Journal) CommitAll() error                   { panic(0) }
func (j *Journal) Committed() TID                     { panic(0) }
func (j *Journal) Running() TID                       { panic(0) }
func (j *Journal) Checkpoint() error                  { panic(0) }
func (j *Journal) Close() error                       { panic(0) }
func (j *Journal) Abort(err error)                    { panic(0) }
func (j *Journal) Err() error                         { panic(0) }
func (j *Journal) Stats() Stats                       { panic(0) }
func (j *Journal) Drop(block uint64)                  { panic(0) }
func (h *Handle) Read(r buf.Ref) ([]byte, error)      { panic(0) }
func (h *Handle) Get(r buf.Ref) ([]byte, error)       { panic(0) }
func (h *Handle) Create(r buf.Ref) ([]byte, error)    { panic(0) }
func (h *Handle) Revoke(block uint64)                 { panic(0) }
func (h *Handle) TID() TID                            { panic(0) }
func (h *Handle) AtEnd(fn func(ok bool))              { panic(0) }
func (h *Handle) Extend(credits int) error            { panic(0) }
func (h *Handle) Room() int                           { panic(0) }
func (h *Handle) Stop() (TID, error)                  { panic(0) }
func (h *Handle) Cancel()                             { panic(0) }

func UpdateHome(dev aio.Device, blockSize int, r buf.Ref, edit func([]byte) error) error { panic(0) }

type Recovery struct {
	Transactions, Blocks, Revoked int
	First, Next                   TID
	Fast                          []FastCommit
}
type FastCommit struct{ TID TID }

func Recover(dev aio.Device, area Area) (*Recovery, error) { panic(0) }
func (r *Recovery) Finish() error                          { panic(0) }
