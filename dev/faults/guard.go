package main

func guardRows() []row { return nil }
