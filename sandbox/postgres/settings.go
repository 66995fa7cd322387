//go:build darwin || linux

package postgres

import (
	"maps"
	"slices"
	"strconv"
)

// settings are server settings by name.
type settings map[string]string

// settings returns the server's settings. The server is durable: fsync and synchronous_commit are on, as by default.
func (s *Server) settings(c Config) settings {
	all := settings{
		"cluster_name":      User, // shows in ps
		"log_line_prefix":   "%m [%p] ",
		"log_min_messages":  "warning",
		"logging_collector": "off",
		"max_connections":   "200",
		"shared_buffers":    "128MB",
	}
	maps.Copy(all, c.Settings)
	all["listen_addresses"] = ""
	if c.Port != 0 {
		all["listen_addresses"] = "127.0.0.1"
	}
	all["port"] = strconv.Itoa(s.port)
	all["unix_socket_directories"] = s.home.socketDir() // Debian's default may not be writable for us
	all["unix_socket_permissions"] = "0700"
	return all
}

// args returns the settings for postgres's command line, sorted.
func (s settings) args() []string {
	args := make([]string, 0, 2*len(s))
	for _, name := range slices.Sorted(maps.Keys(s)) {
		args = append(args, "-c", name+"="+s[name])
	}
	return args
}
