package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

var openStreams = flag.Int("streams", 200, "streams that TestStreamMemory opens")

// TestStreamMemory opens many streams of everything on a process of its own, has all of them hear of an order, and
// looks at what the process needs for that.
func TestStreamMemory(t *testing.T) {
	t.Parallel()
	m := startProcess(t, append(serveArgs(storetest.URL(t), newSimulators(t)), "--cache-bytes", "1000000")...)
	m.await(m.place(seedOrder).OrderID, "completed")
	require.Eventually(t, func() bool { // or a stream begins before that, and hears of it
		var page string
		get(t, m.api+"/api/events?after=start", &page)
		return strings.Contains(page, `"status":"completed"`)
	}, time.Minute, 10*time.Millisecond)
	before := residentBytes(t, m)
	address := strings.TrimPrefix(m.api, "http://")
	var ready, heard sync.WaitGroup
	opening := make(chan struct{}, 100) // more at a time would be turned away
	for range *openStreams {
		opening <- struct{}{}
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "GET /api/events HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", address)
		require.NoError(t, err)
		ready.Add(1)
		heard.Go(func() {
			waiting := true
			lines := bufio.NewReaderSize(conn, 1024)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
			for {
				line, err := lines.ReadString('\n')
				if waiting && (err != nil || line == "event: cursor\n") {
					ready.Done()
					<-opening
					waiting = false
				}
				if err != nil {
					t.Error(err)
					return
				}
				if strings.Contains(line, `"status":"completed"`) {
					return
				}
			}
		})
	}
	ready.Wait()
	idle := residentBytes(t, m)
	m.place(seedOrder)
	heard.Wait()
	busy := residentBytes(t, m)
	t.Logf("%d streams: %d MB resident idle, %d MB after an order, %d MB without streams",
		*openStreams, idle>>20, busy>>20, before>>20)
	if *openStreams >= 5000 { // make soak, without the race detector, which needs more memory than the streams
		require.Less(t, max(idle, busy), 150<<20)
	}
	require.NoError(t, m.stop())
}

func residentBytes(t *testing.T, m *instance) int {
	t.Helper()
	var exposition string
	get(t, m.ops+"/metrics", &exposition)
	_, after, found := strings.Cut(exposition, "\nprocess_resident_memory_bytes ")
	if !found {
		t.Skip("this system does not say how much memory a process uses")
	}
	value, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseFloat(value, 64)
	require.NoError(t, err)
	return int(n)
}
