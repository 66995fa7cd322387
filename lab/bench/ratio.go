package main

// ratio is the ratio of two points, with the least value that it should have. Without a second point it is the first
// one's own value.
type ratio struct {
	what   string
	ours   point
	theirs point
	least  float64
}

// of returns the ratio of the medians; 0 if one of them was not measured.
func (q ratio) of(r *results) float64 {
	if s := r.find(q.ours); q.theirs == (point{}) && s != nil {
		return s.median()
	}
	ours, theirs := r.find(q.ours), r.find(q.theirs)
	if ours == nil || theirs == nil || theirs.median() == 0 {
		return 0
	}
	return ours.median() / theirs.median()
}
