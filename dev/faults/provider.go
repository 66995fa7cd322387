package main

func providerRows() []row { return nil }
