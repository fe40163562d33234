package stack

import (
	"slices"
	"strings"
)

// environment is a list of KEY=value, the last of a key counts.
type environment []string

func (e environment) get(key string) string {
	for _, kv := range slices.Backward(e) {
		if k, v, ok := strings.Cut(kv, "="); ok && k == key {
			return v
		}
	}
	return ""
}

// with gives a copy with the pairs added.
func (e environment) with(pairs ...string) environment {
	return append(slices.Clip(slices.Clone(e)), pairs...)
}

// withDefault adds key=value unless the key has a value.
func (e environment) withDefault(key, value string) environment {
	if e.get(key) != "" {
		return e
	}
	return e.with(key + "=" + value)
}

// without gives a copy that has none of the keys.
func (e environment) without(keys ...string) environment {
	return slices.DeleteFunc(slices.Clone(e), func(kv string) bool {
		k, _, _ := strings.Cut(kv, "=")
		return slices.Contains(keys, k)
	})
}
