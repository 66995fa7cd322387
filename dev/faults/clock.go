package main

func clockRows() []row { return nil }
