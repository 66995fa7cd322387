package store

import (
	"net"
	"time"
)

// A server that is gone without a word, with its machine or its network, is noticed within about 15 s. Probes notice it
// on connections that send nothing, such as the listener's. On others, unacknowledged bytes show it.
const (
	connectTimeout = 3 * time.Second
	probeAfter     = 5 * time.Second
	probeEvery     = 3 * time.Second
	probes         = 3
	unacknowledged = 10 * time.Second
)

func newDialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes},
		Control:         limitUnacknowledged,
	}
}
