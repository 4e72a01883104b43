package group

const unknown = -1

type resting struct{}
type zones struct{}
