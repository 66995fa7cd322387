package jobs

import (
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// listeningDriver listens over connections of its own, such as direct ones beside a pooler.
type listeningDriver struct {
	gatedDriver

	listen *riverpgxv5.Driver
}

// GetListener implements riverdriver.Driver.
func (d listeningDriver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return d.listen.GetListener(params)
}
