package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// writes is the writes that a log was made of.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestLogWriter(t *testing.T) {
	t.Parallel()
	say := func(t *testing.T, l *logWriter, line string) {
		n, err := l.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}

	t.Run("lines that follow one another share a write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var w writes
			l := &logWriter{to: &w}
			say(t, l, "a\n")
			require.Equal(t, writes{"a\n"}, w, "a line alone does not wait")
			say(t, l, "b\n")
			say(t, l, "c\n")
			require.Len(t, w, 1)
			<-time.After(logPause)
			synctest.Wait()
			require.Equal(t, writes{"a\n", "b\nc\n"}, w)
			<-time.After(logPause)
			say(t, l, "d\n")
			require.Equal(t, writes{"a\n", "b\nc\n", "d\n"}, w)
		})
	})

	t.Run("no more waits than there is room for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var w writes
			l := &logWriter{to: &w}
			long := strings.Repeat("x", logRoom/2)
			for range 3 {
				say(t, l, long)
			}
			require.Equal(t, writes{long, long + long}, w)
			say(t, l, "e\n")
			<-time.After(logPause) // the timer of what is written already, and another
			synctest.Wait()
			require.Equal(t, writes{long, long + long, "e\n"}, w)
		})
	})

	t.Run("the end writes the rest", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var w writes
			l := &logWriter{to: &w}
			say(t, l, "a\n")
			say(t, l, "b\n")
			l.flush()
			l.flush()
			(*logWriter)(nil).flush()
			require.Equal(t, writes{"a\n", "b\n"}, w)
			<-time.After(logPause)
		})
	})
}
