// Command bench measures a whole Orderwire on this machine and prints each figure beside its limit or its peer.
//
// It starts the real processes through package stack, takes one measurement after the other, the whole list several
// times over (so that what drifts on the machine hits all of them alike), and prints the median and the spread.
//
// The exit code says whether the measuring worked, never how fast it was: 0 measured, also when limits are missed;
// 1 something is wrong (a lost order, a refused one, a process that has ended, no measurement); 2 used wrongly.
// What is measured, and how to read it: README.md.
package main
