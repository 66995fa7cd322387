package main

const jobsSection = "Bare jobs"
