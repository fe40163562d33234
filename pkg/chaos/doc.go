// Package chaos breaks Orderwire on purpose, in test binaries only.
//
// A binary built with "-tags chaos" reads three variables when it starts:
//
//	ORDERWIRE_FAILPOINT=before-mark     the process kills itself when it first passes this place
//	ORDERWIRE_FAILPOINT=before-mark@7   … the seventh time
//	ORDERWIRE_CONTROL=no-dedup          this wrong behaviour is switched on
//	ORDERWIRE_EVENTS=newer              events have a field that no program of today knows
//
// A name that does not exist stops the start. Without the tag On is always false and Pass does nothing: the compiler
// removes both with what they guard, and a test of deploy/controls looks for what is left of them in the services.
package chaos
