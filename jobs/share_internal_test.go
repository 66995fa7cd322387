package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShares(t *testing.T) {
	t.Parallel()
	s := newShares(20)
	fill := func(owner string) (n int) {
		for s.take(owner) {
			n++
		}
		return n
	}
	began := time.Now()
	require.False(t, s.wanted("a", began))
	require.Equal(t, 10, fill("a"))
	require.True(t, s.wanted("a", began), "an eleventh job was refused")
	require.False(t, s.wanted("b", began))
	require.Equal(t, 5, fill("b"))
	require.Equal(t, 3, fill("c"))
	require.Equal(t, 1, fill("d"))
	require.Equal(t, 1, fill("e"))
	require.Zero(t, fill("f"), "all are taken")
	s.release("a")
	require.Zero(t, fill("a"), "the endpoint that holds the most is not the next")
	require.Equal(t, 1, fill("f"))
	for range 9 {
		s.release("a")
	}
	require.False(t, s.wanted("a", began), "an owner without workers is forgotten")
	require.NotContains(t, s.by, "a")

	one := newShares(1)
	require.True(t, one.take("a"), "a single worker is for all")
	require.False(t, one.take("b"))
}
