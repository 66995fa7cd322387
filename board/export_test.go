package board

// NewAt is New with a clock that says how old a measurement is.
var NewAt = newBoard
