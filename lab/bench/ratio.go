package main

// ratio is one point against another, and what it should be at least.
type ratio struct {
	what   string
	ours   point
	theirs point
	least  float64
}

// of is the ratio of the medians; 0 if one of them was not measured.
func (q ratio) of(r *results) float64 {
	ours, theirs := r.find(q.ours), r.find(q.theirs)
	if ours == nil || theirs == nil || theirs.median() == 0 {
		return 0
	}
	return ours.median() / theirs.median()
}
