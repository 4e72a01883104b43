package main

import "slices"

func sortedNames(values map[string][]byte) []string {
	var names []string
	for n := range values {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
