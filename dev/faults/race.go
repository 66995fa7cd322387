package main

func raceRows() []row { return nil }
