//go:build !linux

package storetest

func root() string { return "/tmp" }
