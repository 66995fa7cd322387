package jobs

// Stopping reports whether the workers are being stopped.
func (c *Client) Stopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}
