package limit

// ranking is a heap of subjects (container/heap): the subject with the fewest requests is first.
type ranking []*subject

func (r ranking) Len() int           { return len(r) }
func (r ranking) Less(i, j int) bool { return r[i].ranked < r[j].ranked }

// Swap exchanges two subjects.
func (r ranking) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = i, j
}

// Push appends a subject.
func (r *ranking) Push(s any) {
	s.(*subject).place = len(*r)
	*r = append(*r, s.(*subject))
}

// Pop removes the last subject.
func (r *ranking) Pop() any {
	last := len(*r) - 1
	s := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	return s
}
