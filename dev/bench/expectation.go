package main

// expectations is a table of what a system like this is usually expected to do, and what it did.
func (r *results) expectations() string { return "" }
