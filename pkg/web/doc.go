// Package web is Echo with the house rules: what every HTTP face of a service has in common.
//
// Refusals are problem+json (RFC 9457) with a stable code and JSON pointers to bad fields. Bodies are read strictly:
// an unknown field, a key twice or data behind the value is refused, never ignored. Every answer carries X-Request-Id.
// Tokens, rates and origins are checked by middleware; whose order it is, is the route's own question.
//
// A route returns an error; problem.go is the one place that turns it into an answer.
package web
